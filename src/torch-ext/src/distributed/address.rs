//! Which of this machine's addresses the other ranks can reach: the one that
//! its packets to rank 0 come from. A host's own name is no help: in
//! containers it often resolves to nothing, or to the loopback.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

/// The local address of the route to `host`. Nothing is sent.
pub(super) fn towards(host: &str, port: u16) -> Result<String, String> {
    let targets = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("the name does not resolve: {error}"))?;
    let mut failure = "the name resolves to no address".to_owned();
    for target in targets {
        match route(target) {
            Ok(local) => return Ok(local.ip().to_string()),
            Err(error) => failure = format!("there is no route to {}: {error}", target.ip()),
        }
    }
    Err(failure)
}

fn route(target: SocketAddr) -> std::io::Result<SocketAddr> {
    let any = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind::<SocketAddr>(any)?;
    socket.connect(target)?;
    socket.local_addr()
}

#[cfg(test)]
mod tests {
    use super::towards;

    #[test]
    fn the_loopback_is_reached_from_the_loopback() {
        assert_eq!(towards("127.0.0.1", 1).unwrap(), "127.0.0.1");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error() {
        let error = towards("no such host", 1).unwrap_err();
        assert!(error.contains("does not resolve"), "{error}");
    }
}
