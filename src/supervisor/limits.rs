//! The limit of open descriptors: raised as far as allowed, and enough for the connections that are wanted.

use config::{Config, Mistake};

/// Descriptors beside client connections: open files, rings, workers' sockets, logs.
const RESERVE: u64 = 2048;
/// Below this a server is of no use.
const CONNECTIONS_MIN: u64 = 16;

/// Raises the soft limit and lowers `limits.connections` to what it allows, unless the user named that number.
pub fn settle(config: &mut Config) -> Result<(), Mistake> {
    let limit = sys::limit::raise_open_files().map_err(|error| {
        Mistake(format!(
            "the limit of open descriptors cannot be raised ({error})"
        ))
    })?;
    config.limits.connections = allowed(
        limit.soft,
        config.limits.connections as u64,
        config.limits.connections_chosen,
    )? as usize;
    Ok(())
}

fn allowed(descriptors: u64, wanted: u64, chosen: bool) -> Result<u64, Mistake> {
    // A small limit is shared half and half.
    let reserve = RESERVE.min(descriptors / 2);
    let possible = descriptors - reserve;
    if possible >= wanted {
        return Ok(wanted);
    }
    if chosen || possible < CONNECTIONS_MIN {
        let needed = wanted + RESERVE;
        return Err(Mistake(format!(
            "{wanted} connections take a limit of {needed} open descriptors, and it is {descriptors}; raise it (ulimit -n {needed}; \
             LimitNOFILE={needed} with systemd; --ulimit nofile={needed} with docker), or lower --max-connections to {possible}"
        )));
    }
    Ok(possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_the_descriptor_limit() {
        assert_eq!(allowed(1 << 20, 16_384, false), Ok(16_384));
        assert_eq!(allowed(4096, 16_384, false), Ok(2048));
        assert_eq!(allowed(1024, 16_384, false), Ok(512));
        let message = allowed(4096, 5000, true).expect_err("too many").0;
        assert!(message.starts_with(
            "5000 connections take a limit of 7048 open descriptors, and it is 4096; raise it"
        ));
        assert!(allowed(16, 1, true).is_ok());
        assert!(allowed(16, 100, false).is_err());
    }
}
