//! Waiting for something outside to become true.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Asks again and again until there is an answer; fails with the last refusal when the limit has passed.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    const INTERVAL: Duration = Duration::from_millis(200);
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(refusal) if started.elapsed() >= limit => {
                return Err(refusal).with_context(|| format!("{what} did not come within {} s", limit.as_secs()));
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_last_refusal_is_told_when_time_is_up() {
        let mut asked = 0;
        let refused: Result<()> = until("the engine", Duration::ZERO, || {
            asked += 1;
            bail!("connection refused")
        });
        assert_eq!(format!("{:#}", refused.unwrap_err()), "the engine did not come within 0 s: connection refused");
        assert_eq!(asked, 1);
    }

    #[test]
    fn an_answer_ends_the_wait() {
        assert_eq!(until("an answer", Duration::ZERO, || Ok(7)).unwrap(), 7);
    }
}
