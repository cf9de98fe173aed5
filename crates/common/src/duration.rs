//! Durations as people write them: a number and its unit.

use std::time::Duration;

/// Reads `500ms`, `30s`, `15m`, `1h` or `1.5h`. A bare number is an error: nobody should have to guess its unit.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" if !number.is_empty() => return Err(format!("`{text}` has no unit: write `{text}s` or `{text}m`")),
        _ => return Err(format!("`{text}` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`")),
    };
    match number.parse::<f64>().map(|number| Duration::try_from_secs_f64(number * seconds)) {
        Ok(Ok(duration)) => Ok(duration),
        _ => Err(format!("`{text}` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`")),
    }
}

/// Writes a duration for people: `420 ms`, `8 s`, `1 m 30 s`, `2 h 5 m`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 if seconds.is_multiple_of(60) => format!("{} m", seconds / 60),
        60..=3599 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ if seconds % 3600 / 60 == 0 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_with_its_unit() {
        for (text, expected) in [
            ("500ms", Ok(Duration::from_millis(500))),
            ("30s", Ok(Duration::from_secs(30))),
            ("15m", Ok(Duration::from_secs(900))),
            ("1.5h", Ok(Duration::from_secs(5400))),
            ("15", Err("`15` has no unit: write `15s` or `15m`")),
            ("", Err("`` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`")),
            ("1.2.3s", Err("`1.2.3s` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`")),
            ("2 days", Err("`2 days` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`")),
        ] {
            assert_eq!(parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn writes_what_a_person_would_say() {
        for (milliseconds, text) in [
            (420, "420 ms"),
            (8_120, "8.1 s"),
            (42_000, "42 s"),
            (90_000, "1 m 30 s"),
            (120_000, "2 m"),
            (7_500_000, "2 h 5 m"),
        ] {
            assert_eq!(human(Duration::from_millis(milliseconds)), text);
        }
    }
}
