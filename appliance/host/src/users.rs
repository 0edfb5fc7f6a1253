//! Who may ask: the number of the user that penstockd runs as.

use std::fs;
use std::io;

use thiserror::Error;

/// Why a user has no number.
#[derive(Debug, Error)]
pub(crate) enum UserError {
    #[error("cannot read /etc/passwd")]
    Read(#[source] io::Error),
    #[error(
        "there is no user `{0}`: make it with `useradd --system {0}`, or set `user` in the configuration"
    )]
    Unknown(String),
}

/// The number of the user `name`, from the machine's own list: the appliance asks no directory service.
pub(crate) fn uid(name: &str) -> Result<u32, UserError> {
    let passwd = fs::read_to_string("/etc/passwd").map_err(UserError::Read)?;
    find(&passwd, name).ok_or_else(|| UserError::Unknown(name.to_owned()))
}

// passwd(5): name:password:uid:…
fn find(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npenstock:x:997:997::/:/usr/sbin/nologin\n";
        assert_eq!(find(passwd, "penstock"), Some(997));
        assert_eq!(find(passwd, "root"), Some(0));
        assert_eq!(find(passwd, "pen"), None);
    }

    #[test]
    fn an_unknown_user_is_told_by_name() {
        let error = uid("no such user").unwrap_err().to_string();
        assert!(error.contains("`no such user`"), "{error}");
    }
}
