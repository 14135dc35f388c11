//! Checks the host's ports of a run: all must be different and free.

use core::net::Ipv4Addr;
use std::io;
use std::net::TcpListener;

use thiserror::Error;

/// A port on 127.0.0.1 and the option that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The port; 0 means none, or any.
    pub port: u16,
    /// The option.
    pub option: &'static str,
}

/// The error for two options that ask for the same port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{first} and {second} are both port {port}: choose another for one of them")]
pub struct SamePort {
    /// The first of the two options.
    pub first: &'static str,
    /// The second of the two options.
    pub second: &'static str,
    /// The port.
    pub port: u16,
}

/// The error for a port that should lead into the guest and cannot be opened.
#[derive(Debug, Error)]
#[error("cannot listen on tcp port 127.0.0.1:{}: {source}: choose another with {} PORT", .named.port, .named.option)]
pub struct TakenPort {
    /// The port and its option.
    pub named: Named,
    /// The system's error.
    pub source: io::Error,
}

/// Checks that all ports are different. Any number of them may be 0.
///
/// # Errors
/// [`SamePort`] for the first two equal ports.
pub fn all_different(ports: &[Named]) -> Result<(), SamePort> {
    for (index, second) in ports.iter().enumerate() {
        let same = |first: &&Named| first.port != 0 && first.port == second.port;
        if let Some(first) = ports[..index].iter().find(same) {
            return Err(SamePort {
                first: first.option,
                second: second.option,
                port: second.port,
            });
        }
    }
    Ok(())
}

/// Opens all of these ports. They stay open as long as the caller keeps the result.
///
/// QEMU would only say that it could not set up a rule. Another process may still take a port after it was closed here;
/// then QEMU reports it.
///
/// # Errors
/// [`TakenPort`] for the first port that cannot be opened; then all are closed.
pub fn hold(ports: &[Named]) -> Result<Vec<TcpListener>, TakenPort> {
    ports
        .iter()
        .map(|&named| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, named.port))
                .map_err(|source| TakenPort { named, source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [&str; 3] = ["--one", "--two", "--three"];

    fn named(ports: [u16; 3]) -> [Named; 3] {
        core::array::from_fn(|index| Named {
            port: ports[index],
            option: OPTIONS[index],
        })
    }

    #[test]
    fn ports_that_differ_or_are_none_are_no_conflict() {
        for ports in [[1, 2, 3], [0, 0, 0], [7, 0, 0]] {
            assert_eq!(all_different(&named(ports)), Ok(()), "{ports:?}");
        }
    }

    #[test]
    fn two_that_are_the_same_are_both_named() {
        for (ports, first, second) in [
            ([5, 5, 1], "--one", "--two"),
            ([5, 1, 5], "--one", "--three"),
            ([0, 5, 5], "--two", "--three"),
        ] {
            let text = all_different(&named(ports)).unwrap_err().to_string();
            assert_eq!(
                text,
                format!("{first} and {second} are both port 5: choose another for one of them")
            );
        }
    }

    #[test]
    fn a_port_that_is_held_cannot_be_held_again_until_it_is_given_back() {
        let free = hold(&named([0, 0, 0])).expect("free ports");
        let port = free[0].local_addr().expect("an address").port();
        let again = [Named {
            port,
            option: "--one",
        }];
        let error = hold(&again).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on tcp port 127.0.0.1:{port}: "))
                && error.ends_with(": choose another with --one PORT"),
            "{error}"
        );
        drop(free);
        assert!(hold(&again).is_ok());
    }
}
