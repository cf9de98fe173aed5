//! The service under delivery in the end-to-end test: it answers with the version that it was given, and breaks when a
//! file in its image says so. Only the standard library, so that its image is one small static binary.
//!
//! - `sample-service` serves HTTP on port 8080; with `/broken-service` in the image it crashes with exit code 3.
//! - `sample-service migrate` plays a migration; with `/broken-migration` in the image it exits with 1.
//! - `sample-service read FILE` is a step of a build that needs a file: it fails without it, and never prints what is in it.
//! - `sample-service healthcheck` is the image's HEALTHCHECK: 0 if the service answers, else 1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::{env, io, thread};

const ADDRESS: &str = "0.0.0.0:8080";

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        None => serve(),
        Some("migrate") => migrate(),
        Some("healthcheck") => healthcheck(),
        Some("read") => read(&env::args().nth(2).unwrap_or_default()),
        Some(unknown) => {
            say(&format!("unknown command `{unknown}`: expected none, `migrate`, `read` or `healthcheck`"));
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
    if Path::new("/broken-service").exists() {
        say("fatal: cannot read the configuration: key `payments.currency` is missing");
        return ExitCode::from(3);
    }
    let listener = match TcpListener::bind(ADDRESS) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("fatal: cannot listen on {ADDRESS}: {error}"));
            return ExitCode::FAILURE;
        }
    };
    say(&format!("{} {} listens on {ADDRESS}", variable("SERVICE"), variable("COMMIT")));
    for stream in listener.incoming() {
        thread::spawn(move || {
            if let Err(error) = stream.and_then(answer) {
                say(&format!("a request was dropped: {error}"));
            }
        });
    }
    ExitCode::SUCCESS
}

fn read(file: &str) -> ExitCode {
    match std::fs::read(file) {
        Ok(content) => {
            say(&format!("{file}: {} bytes", content.len()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("cannot read {file}: {error}"));
            ExitCode::from(4)
        }
    }
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    // The headers are read to their end: closing with unread bytes resets the connection under the client's feet.
    let mut header = String::new();
    while reader.read_line(&mut header)? > "\r\n".len() {
        header.clear();
    }
    let version = variable("COMMIT");
    let (status, body) = match request.split(' ').nth(1) {
        Some("/" | "/health") => {
            let service = variable("SERVICE");
            ("200 OK", format!(r#"{{"status":"ok","version":"{version}","service":"{service}"}}"#))
        }
        _ => ("404 Not Found", r#"{"status":"not found"}"#.to_owned()),
    };
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-version: {version}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn migrate() -> ExitCode {
    say("2 migrations found, 1 pending");
    if Path::new("/broken-migration").exists() {
        say("20260102_add_currency: ERROR: column \"currency\" of relation \"payments\" already exists");
        return ExitCode::FAILURE;
    }
    say("20260102_add_currency: applied");
    ExitCode::SUCCESS
}

fn healthcheck() -> ExitCode {
    let answers = TcpStream::connect("127.0.0.1:8080").and_then(|mut stream| {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    });
    if matches!(answers, Ok(true)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "unset".to_owned())
}

#[expect(clippy::print_stdout, reason = "a service's log is its standard output")]
fn say(line: &str) {
    println!("{line}");
}
