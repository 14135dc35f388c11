//! The application's arguments, as far as the host must know them. They are passed on as they are.
//!
//! The application has the last word on them; here they are only read, in both spellings (`--key value`,
//! `--key=value`), so that the host's side fits: ports that lead to where the application listens.

use core::net::Ipv4Addr;

use crate::qemu::{Forward, GUEST_BY_DHCP, HOST_SEEN_BY_GUEST};

/// The application's control port if none is given.
pub const CONTROL_PORT: u16 = 2323;

/// The application's port for traces if none is given.
pub const MEMTRACE_PORT: u16 = 4242;

/// The value of the last `key` among the arguments.
///
/// ```
/// use hermon_machine::application::value_of;
/// let arguments = ["--vm", "a", "--influx=off"].map(String::from);
/// assert_eq!(value_of(&arguments, "--vm"), Some("a"));
/// assert_eq!(value_of(&arguments, "--influx"), Some("off"));
/// assert_eq!(value_of(&arguments, "--log"), None);
/// ```
pub fn value_of<'a>(arguments: &'a [String], key: &str) -> Option<&'a str> {
    let mut found = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == key {
            found = arguments.next().map(String::as_str);
        } else if let Some(value) = argument
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='))
        {
            found = Some(value);
        }
    }
    found
}

/// The forwards that lead the host's ports to where the application listens; a port of 0, on either side, is off.
pub fn forwards(arguments: &[String], control: u16, memtrace: u16) -> Vec<Forward> {
    let address = value_of(arguments, "--ipv4")
        .and_then(|ipv4| ipv4.split('/').next()?.parse::<Ipv4Addr>().ok())
        .unwrap_or(GUEST_BY_DHCP);
    [
        (control, "--control-port", CONTROL_PORT),
        (memtrace, "--memtrace-port", MEMTRACE_PORT),
    ]
    .into_iter()
    .map(|(host, key, default)| {
        // A value that is not a port is the application's to refuse.
        let guest = value_of(arguments, key)
            .and_then(|port| port.parse().ok())
            .unwrap_or(default);
        Forward {
            host,
            address,
            guest,
        }
    })
    .filter(|forward| forward.host != 0 && forward.guest != 0)
    .collect()
}

/// The `--influx` argument that makes the guest send to a port on this host's loopback.
pub fn influx(scheme: &str, port: u16) -> [String; 2] {
    [
        "--influx".to_owned(),
        format!("{scheme}://{HOST_SEEN_BY_GUEST}:{port}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_key_is_not_taken_for_another_that_begins_with_it() {
        assert_eq!(
            value_of(&words("--influxes=a --influx-port 1"), "--influx"),
            None
        );
    }

    #[test]
    fn the_last_value_counts_and_a_missing_one_is_none() {
        assert_eq!(value_of(&words("--vm a --vm=b"), "--vm"), Some("b"));
        assert_eq!(value_of(&words("--vm"), "--vm"), None);
    }

    #[test]
    fn forwards_lead_to_the_applications_ports_and_address() {
        let all = forwards(&words("--ipv4 10.0.2.50/24 --control-port=23"), 1, 2);
        let address = Ipv4Addr::new(10, 0, 2, 50);
        assert_eq!(
            all,
            [
                Forward {
                    host: 1,
                    address,
                    guest: 23
                },
                Forward {
                    host: 2,
                    address,
                    guest: MEMTRACE_PORT
                }
            ]
        );
    }

    #[test]
    fn a_port_that_is_off_on_either_side_is_not_forwarded() {
        assert_eq!(forwards(&[], 0, 0), []);
        assert_eq!(
            forwards(&words("--control-port 0 --memtrace-port=0"), 1, 2),
            []
        );
    }

    #[test]
    fn dhcp_means_the_user_networks_address() {
        assert_eq!(
            forwards(&words("--ipv4 dhcp"), 7, 0)[0].address,
            GUEST_BY_DHCP
        );
    }

    #[test]
    fn metrics_go_to_this_host_as_the_guest_sees_it() {
        assert_eq!(
            influx("tcp", 8094).join(" "),
            "--influx tcp://10.0.2.2:8094"
        );
    }
}
