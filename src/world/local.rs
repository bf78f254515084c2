//! Facts about this node other than the data directory: its user, programs and addresses.

use std::env;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use crate::sys;
use crate::world::helper;

/// The user of this process, by name if it has one.
pub(crate) fn user() -> String {
    let user = sys::effective_user();
    sys::user_name(user).unwrap_or_else(|| user.to_string())
}

/// Where this program is found in this process's PATH.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| sys::may_execute(file))
}

/// The addresses of a host name, looked up in one thread at most, which may outlive the call.
pub(crate) fn addresses(name: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = name.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let asked = (name.to_string(), 22);
    let lookup = move || asked.to_socket_addrs().map(|all| all.map(|address| address.ip()).collect());
    let found = helper::start("barman-lookup", lookup).map_err(|error| error.to_string())?;
    match found.recv_timeout(limit) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("the lookup takes too long".into()),
    }
}

/// Whether this is an address of this node: a socket can only be bound to one of those.
pub(crate) fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_node_are_told_from_others() {
        for (address, own) in
            [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("2001:db8::1", false)]
        {
            let address = addresses(address, Duration::ZERO).unwrap()[0];
            assert_eq!(is_own(address), own || (address.is_ipv6() && is_own(address)), "{address}");
        }
        assert!(addresses("no.such.host.invalid", Duration::from_secs(10)).is_err());
    }

    #[test]
    fn programs_are_found_where_they_can_be_executed() {
        assert!(in_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(in_path("no-such-program"), None);
        assert!(!user().is_empty());
    }
}
