//! Where doors open: the one place that binds a listening socket.
//!
//! Secure by default: an address that other machines can reach is refused unless the
//! caller says that it is meant to be insecure.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Why a door did not open.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is reachable from other machines.
    #[error(
        "{door} address {address} is reachable from other machines and has neither TLS nor \
         authentication; bind a loopback address, or pass --insecure-public if you mean it"
    )]
    Public {
        /// Name of the door, as the user knows it.
        door: &'static str,
        /// The address asked for.
        address: SocketAddr,
    },
    /// The operating system refused.
    #[error("{door} door: cannot listen on {address}: {source}{}", in_use_hint(.source, .flag))]
    Io {
        /// Name of the door, as the user knows it.
        door: &'static str,
        /// The command-line flag that moves the door.
        flag: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

fn in_use_hint(source: &io::Error, flag: &str) -> String {
    if source.kind() == io::ErrorKind::AddrInUse {
        format!("; stop what listens there, or choose another address with {flag}")
    } else {
        String::new()
    }
}

/// Binds a listening socket in non-blocking mode. Port 0 takes a free port.
///
/// # Errors
/// [`BindError::Public`] for an address that is not loopback unless `insecure_public`.
pub fn bind_listener(
    door: &'static str,
    flag: &'static str,
    address: SocketAddr,
    insecure_public: bool,
) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() && !insecure_public {
        return Err(BindError::Public { door, address });
    }
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| BindError::Io { door, flag, address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(result: Result<TcpListener, BindError>) -> String {
        result.expect_err("must be refused").to_string()
    }

    #[test]
    fn public_addresses_are_refused_unless_insecure() {
        let address = "0.0.0.0:0".parse().expect("address");
        assert!(
            error(bind_listener("Kafka", "--kafka", address, false)).contains("--insecure-public")
        );
    }

    #[test]
    fn a_taken_port_names_the_flag() {
        let any = "127.0.0.1:0".parse().expect("address");
        let first = bind_listener("Kafka", "--kafka", any, false).expect("free port");
        let taken = first.local_addr().expect("address");
        assert!(error(bind_listener("Kafka", "--kafka", taken, false)).contains("with --kafka"));
    }
}
