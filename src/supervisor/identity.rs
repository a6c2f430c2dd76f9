//! `--user`, `--group`, `--initgroups`, `--umask`: whom edge and app hosts run as, and what has to be theirs for that.
//!
//! The supervisor keeps its own identity: it opens ports and signals children. Its control socket stays its own user's.

use config::{Address, Config, LogTarget, Mistake};
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::path::Path;
use sys::identity::Identity;

/// `None`: as we are.
pub fn find(config: &Config) -> Result<Option<Identity>, Mistake> {
    let wish = &config.identity;
    if wish.user.is_none() && wish.group.is_none() {
        return Ok(None);
    }
    let database =
        |error: std::io::Error| Mistake(format!("the database of users cannot be read ({error})"));
    let own = sys::process::user_id().to_string();
    let name = wish.user.as_ref().unwrap_or(&own);
    let user = sys::identity::user(name)
        .map_err(database)?
        .ok_or_else(|| Mistake(format!("--user: there is no user '{name}'")))?;
    let group = match &wish.group {
        None => user.group,
        Some(name) => sys::identity::group(name)
            .map_err(database)?
            .ok_or_else(|| Mistake(format!("--group: there is no group '{name}'")))?,
    };
    if sys::process::user_id() != 0 {
        // Nothing to do is allowed to everybody.
        return match user.id == sys::process::user_id() && wish.group.is_none() {
            true => Ok(None),
            false => Err(Mistake(
                "--user and --group: only root may run workers as somebody else".into(),
            )),
        };
    }
    let groups = match wish.init_groups {
        true => sys::identity::groups_of(&user, group).map_err(database)?,
        false => vec![group],
    };
    Ok(Some(Identity {
        user: user.id,
        group,
        groups,
    }))
}

/// Log files and listening unix sockets are the children's, who open or unlink them again.
pub fn hand_over(config: &Config, identity: &Identity) -> Result<(), Mistake> {
    let logs = [Some(&config.error_log), config.access_log.as_ref()];
    for log in logs.into_iter().flatten() {
        if let LogTarget::File(path) = log {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.and_then(|file| sys::identity::give_open(file.as_fd(), identity))
                .map_err(|error| not_given(path, &error))?;
        }
    }
    for bind in &config.binds {
        if let Address::Unix(path) = bind {
            sys::identity::give(path, identity).map_err(|error| not_given(path, &error))?;
        }
    }
    Ok(())
}

fn not_given(path: &Path, error: &std::io::Error) -> Mistake {
    let why = config::world::plain(error);
    Mistake(format!(
        "--user: {} cannot be given to that user ({why})",
        path.display()
    ))
}
