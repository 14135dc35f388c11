//! Values of arguments: those that are accepted, and errors that quote the others in one line.

use core::fmt::Display;
use core::net::{Ipv4Addr, SocketAddrV4};

use agent::config::{
    ALLOW_MAX, Addressing, Allow, Cidr, Config, IDLE_MAX, IDLE_MIN, INTERVAL_MAX, INTERVAL_MIN,
    Target, VM_NAME_MAX, check_ports, parse_cidr, parse_idle, parse_interval, parse_port,
    parse_rate, parse_vm,
};
use proptest::prelude::*;
use units::Micros;

fn message<T: core::fmt::Debug, E: Display>(result: Result<T, E>) -> String {
    result.expect_err("it should be refused").to_string()
}

#[test]
fn the_defaults_are_those_of_the_images_interface() {
    let config = Config::default();
    assert_eq!(config.target.to_string(), "udp://10.0.2.2:8094");
    assert_eq!(config.interval, parse_interval("10s").expect("an interval"));
    assert_eq!(config.vm.as_str(), "hermit");
    assert_eq!(
        (config.control_port, config.memtrace_port),
        (Some(2323), Some(4242))
    );
    assert_eq!(config.sampling_rate.get().to_bits(), 1e-4_f64.to_bits());
    assert_eq!(config.addressing, Addressing::Dhcp);
}

#[test]
fn a_target_is_udp_tcp_or_off() {
    let address = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 65535);
    assert_eq!(
        Target::parse("udp://192.0.2.7:65535"),
        Ok(Target::Udp(address))
    );
    assert_eq!(
        Target::parse("tcp://192.0.2.7:65535"),
        Ok(Target::Tcp(address))
    );
    assert_eq!(Target::parse("off"), Ok(Target::Off));
    for text in [
        "",
        "OFF",
        "udp",
        "udp://",
        "udp://10.0.2.2",
        "udp://10.0.2.2:",
        "udp://:8094",
        "http://10.0.2.2:80",
        "udp://localhost:8094",
        "udp://[::1]:8094",
        "udp://10.0.2.2:65536",
        "udp://10.0.2.2:8094/",
        "udp://10.0.2.2:8094 ",
        " udp://10.0.2.2:8094",
        "udp://10.0.2.02:8094",
        "UDP://10.0.2.2:8094",
        "udp://10.0.2:8094",
        "udp:/10.0.2.2:8094",
        "udp://udp://10.0.2.2:8094",
    ] {
        let expected =
            format!("{text:?} is not a target: want udp://IP:PORT, tcp://IP:PORT or off");
        assert_eq!(message(Target::parse(text)), expected);
    }
    assert_eq!(
        message(Target::parse("tcp://10.0.2.2:0")),
        "\"tcp://10.0.2.2:0\" is not a target: port 0"
    );
    for address in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        let text = format!("udp://{address}:8094");
        let expected = format!("{text:?} is not a target: no host can have this address");
        assert_eq!(message(Target::parse(&text)), expected);
    }
}

#[test]
fn an_interval_is_a_whole_number_and_a_unit_within_bounds() {
    for (text, micros) in [
        ("10ms", 10_000),
        ("250ms", 250_000),
        ("1s", 1_000_000),
        ("1m", 60_000_000),
        ("060m", 3_600_000_000),
    ] {
        assert_eq!(parse_interval(text), Ok(Micros(micros)), "{text}");
    }
    assert_eq!(
        (INTERVAL_MIN, INTERVAL_MAX),
        (Micros(10_000), Micros(3_600_000_000))
    );
    for text in [
        "", "1", "s", "1.5s", "-1s", "+1s", "1 s", "1S", "1h", "1us", "1sec", "١s", "0x1s", "1ms1",
    ] {
        let expected = format!("{text:?} is not an interval: want 250ms, 1s or 1m");
        assert_eq!(message(parse_interval(text)), expected);
    }
    for text in [
        "0s",
        "0ms",
        "9ms",
        "61m",
        "3601s",
        "18446744073709551615s",
        "99999999999999999999999m",
    ] {
        let expected = format!("{text:?} is not an interval: want 10ms to 60m");
        assert_eq!(message(parse_interval(text)), expected);
    }
}

#[test]
fn an_idle_time_is_written_like_an_interval() {
    assert_eq!(parse_idle("1s"), Ok(IDLE_MIN));
    assert_eq!(parse_idle("60000ms"), Ok(Config::default().control_idle));
    assert_eq!(parse_idle("60m"), Ok(IDLE_MAX));
    for text in ["", "60", "s", "1h", "-1s", "1.5s"] {
        let expected = format!("{text:?} is not an idle time: want 500ms, 60s or 5m");
        assert_eq!(message(parse_idle(text)), expected);
    }
    for text in ["0s", "999ms", "61m", "18446744073709551616s"] {
        let expected = format!("{text:?} is not an idle time: want 1s to 60m");
        assert_eq!(message(parse_idle(text)), expected);
    }
}

#[test]
fn who_may_connect_is_a_list_of_networks() {
    for (text, shown) in [
        ("10.0.2.0/24", "10.0.2.0/24"),
        ("10.0.2.15/24", "10.0.2.0/24"),
        ("10.0.2.15", "10.0.2.15/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        (
            "1.2.3.4/1,255.255.255.255/32",
            "0.0.0.0/1,255.255.255.255/32",
        ),
    ] {
        assert_eq!(Allow::parse(text).expect(text).to_string(), shown);
    }
    for item in [
        "",
        "lan",
        "10.0.2",
        "10.0.2.0/",
        "10.0.2.0/x",
        "10.0.2.0/+8",
        "10.0.2.0/024",
        "::1",
        " 10.0.2.1",
    ] {
        let expected =
            format!("{item:?} is not a network: want A.B.C.D/LEN or A.B.C.D, divided by commas");
        assert_eq!(message(Allow::parse(item)), expected);
        assert_eq!(
            message(Allow::parse(&format!("10.0.0.0/8,{item}"))),
            expected
        );
    }
    assert_eq!(
        message(Allow::parse("10.0.2.0/33")),
        "\"10.0.2.0/33\" is not a network: the prefix is not 0 to 32"
    );
    let many = ["10.0.0.1"; ALLOW_MAX].join(",");
    assert!(Allow::parse(&many).is_ok());
    assert_eq!(
        message(Allow::parse(&format!("{many},10.0.0.2"))),
        "\"10.0.0.2\" is one network more than 8"
    );
    let all = Allow::parse("0.0.0.0/0").expect("a network");
    assert_eq!(all, Config::default().allow);
    let open = |allow| {
        Config {
            allow,
            ..Config::default()
        }
        .is_open_to_all()
    };
    assert!(open(all) && !open(Allow::parse("0.0.0.0/1").expect("a network")));
}

#[test]
fn a_port_is_a_plain_number_and_0_means_off() {
    assert_eq!(parse_port("0"), Ok(None));
    assert_eq!(parse_port("2323"), Ok(Some(2323)));
    assert_eq!(parse_port("65535"), Ok(Some(65535)));
    for text in [
        "",
        "65536",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x10",
        "http",
        "1.0",
        "99999999999999999999",
    ] {
        let expected = format!("{text:?} is not a port: want 0 to 65535, 0 for off");
        assert_eq!(message(parse_port(text)), expected);
    }
}

#[test]
fn two_services_cannot_share_a_port() {
    assert!(check_ports(Some(1), Some(2)).is_ok());
    assert!(
        check_ports(None, None).is_ok(),
        "two ports that are off do not conflict"
    );
    assert_eq!(
        message(check_ports(Some(4242), Some(4242))),
        "port 4242 is given to both the control and the memtrace service"
    );
}

#[test]
fn a_rate_is_from_a_millionth_of_a_millionth_to_1() {
    for (text, rate) in [
        ("1", 1.0),
        ("1e-4", 1e-4),
        ("0.5", 0.5),
        (".25", 0.25),
        ("1e-12", 1e-12),
    ] {
        assert_eq!(
            parse_rate(text).map(|rate| rate.get().to_bits()),
            Ok(f64::to_bits(rate)),
            "{text}"
        );
    }
    for text in [
        "",
        "0",
        "-0",
        "0.0",
        "1e-13",
        "1e-400",
        "-1e-4",
        "1.0000001",
        "2",
        "nan",
        "NaN",
        "-nan",
        "inf",
        "-inf",
        "infinity",
        "1e",
        "e",
        ".",
        "1,0",
        "0x1p-1",
        " 1",
    ] {
        let expected = format!("{text:?} is not a sampling rate: want a number from 1e-12 to 1");
        assert_eq!(message(parse_rate(text)), expected);
    }
}

#[test]
fn an_address_is_one_that_a_host_can_have() {
    for text in [
        "10.0.2.15/24",
        "192.168.1.1/32",
        "192.168.1.0/31",
        "1.0.0.1/1",
        "172.16.0.1/12",
    ] {
        assert_eq!(parse_cidr(text).expect(text).to_string(), text);
    }
    for text in [
        "",
        "/",
        "10.0.2.15",
        "10.0.2.15/",
        "10.0.2.15/x",
        "10.0.2.15/+8",
        "10.0.2.15/024",
        "a/24",
        "10.0.2.15/24/24",
        "10.0.2.256/24",
        "10.0.2.15/24 ",
        "::1/64",
    ] {
        let expected = format!("{text:?} is not an address: want dhcp or A.B.C.D/LEN");
        assert_eq!(message(parse_cidr(text)), expected);
    }
    for text in ["10.0.2.15/0", "10.0.2.15/33", "10.0.2.15/99"] {
        let expected = format!("{text:?} is not an address: the prefix is not 1 to 32");
        assert_eq!(message(parse_cidr(text)), expected);
    }
    for text in [
        "10.0.2.0/24",
        "10.0.2.255/24",
        "0.0.0.1/8",
        "127.0.0.1/8",
        "224.0.0.1/24",
        "255.255.255.255/32",
    ] {
        let expected = format!("{text:?} is not an address: no host can have it");
        assert_eq!(message(parse_cidr(text)), expected);
    }
}

#[test]
fn a_gateway_is_another_host_of_the_same_network() {
    let cidr = parse_cidr("10.0.2.50/24").expect("an address");
    let gateway = Some(Ipv4Addr::new(10, 0, 2, 2));
    assert_eq!(
        Addressing::parse("10.0.2.50/24", Some("10.0.2.2")),
        Ok(Addressing::Static { cidr, gateway })
    );
    assert_eq!(
        Addressing::parse("10.0.2.50/24", None),
        Ok(Addressing::Static {
            cidr,
            gateway: None
        })
    );
    assert_eq!(Addressing::parse("dhcp", None), Ok(Addressing::Dhcp));
    for text in ["10.0.3.2", "10.0.2.50", "10.0.2.0", "10.0.2.255", "0.0.0.0"] {
        let expected = format!("{text:?} is not a gateway: not another host in 10.0.2.50/24");
        assert_eq!(
            message(Addressing::parse("10.0.2.50/24", Some(text))),
            expected
        );
    }
    for text in ["", "gw", "10.0.2.2/24"] {
        let expected = format!("{text:?} is not a gateway: want A.B.C.D");
        assert_eq!(
            message(Addressing::parse("10.0.2.50/24", Some(text))),
            expected
        );
    }
    assert_eq!(
        message(Addressing::parse("dhcp", Some("10.0.2.2"))),
        "gateway \"10.0.2.2\" needs a static address: DHCP names its own"
    );
    assert_eq!(
        message(Addressing::parse("DHCP", None)),
        "\"DHCP\" is not an address: want dhcp or A.B.C.D/LEN"
    );
}

#[test]
fn a_name_is_short_text_without_control_characters() {
    for text in ["a", "hermit", "vm 1, é漢=\"x\"", &"n".repeat(VM_NAME_MAX)] {
        assert_eq!(parse_vm(text).expect(text).as_str(), text);
    }
    assert_eq!(message(parse_vm("")), "\"\" is not a name: empty");
    let long = "é".repeat(VM_NAME_MAX / 2 + 1);
    assert_eq!(
        message(parse_vm(&long)),
        format!("{long:?} is not a name: longer than 63 bytes")
    );
    assert_eq!(
        message(parse_vm("a\nb")),
        "\"a\\nb\" is not a name: holds a control character"
    );
}

fn awkward() -> impl Strategy<Value = String> {
    const ALPHABET: &[&str] = &[
        ",",
        " ",
        "=",
        "\"",
        "\\",
        "\n",
        "\r",
        "\t",
        "\0",
        "#",
        "é",
        "漢",
        "\u{7f}",
        "\u{85}",
        "0",
        "1",
        "9",
        ".",
        "/",
        ":",
        "-",
        "+",
        "e",
        "ms",
        "s",
        "m",
        "udp://",
        "tcp://",
        "off",
        "dhcp",
        "10.0.2.15",
        "/24",
        ":8094",
        "nan",
        "inf",
    ];
    prop::collection::vec(prop::sample::select(ALPHABET), 0..8).prop_map(|parts| parts.concat())
}

/// Checks that an error quotes the text, in one line of printable characters.
fn named_in_one_line(error: &dyn Display, text: &str) -> Result<(), TestCaseError> {
    let message = error.to_string();
    prop_assert!(
        message.contains(&format!("{text:?}")),
        "{} does not name {:?}",
        message,
        text
    );
    prop_assert!(!message.chars().any(char::is_control), "{message:?}");
    prop_assert!(
        message.starts_with(|c: char| c == '"' || c.is_lowercase()),
        "{}",
        message
    );
    Ok(())
}

proptest! {
    #[test]
    fn awkward_text_is_a_legal_value_or_is_named_in_one_line(text in awkward()) {
        match Target::parse(&text) {
            Ok(target) => prop_assert_eq!(target.to_string(), &text[..]),
            Err(error) => named_in_one_line(&error, &text)?,
        }
        match parse_interval(&text) {
            Ok(interval) => {
                prop_assert!(interval >= INTERVAL_MIN && interval <= INTERVAL_MAX);
            }
            Err(error) => named_in_one_line(&error, &text)?,
        }
        match parse_port(&text) {
            Ok(port) => prop_assert_eq!(text.parse::<u16>().ok(), Some(port.unwrap_or(0))),
            Err(error) => named_in_one_line(&error, &text)?,
        }
        match parse_rate(&text) {
            Ok(rate) => prop_assert!(rate.get() > 0.0 && rate.get() <= 1.0),
            Err(error) => named_in_one_line(&error, &text)?,
        }
        match Addressing::parse(&text, None) {
            Ok(Addressing::Dhcp) => prop_assert_eq!(&text[..], "dhcp"),
            Ok(Addressing::Static { cidr, .. }) => {
                let shown = cidr.to_string();
                prop_assert_eq!(Ok(cidr), parse_cidr(&shown));
            }
            Err(error) => named_in_one_line(&error, &text)?,
        }
        if let Err(error) = Addressing::parse("10.0.2.50/24", Some(&text)) {
            named_in_one_line(&error, &text)?;
        }
        match parse_vm(&text) {
            Ok(name) => prop_assert_eq!(name.as_str(), &text[..]),
            Err(error) => named_in_one_line(&error, &text)?,
        }
    }

    /// The oracle compares the first bits as text.
    #[test]
    fn an_address_may_connect_if_its_first_bits_are_those_of_a_network(
        networks in prop::collection::vec((any::<u32>(), 0_usize..=32), 1..=8),
        near in any::<prop::sample::Index>(),
        flips: u32,
    ) {
        let items: Vec<String> = networks.iter().map(|(address, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(*address))).collect();
        let allow = Allow::parse(&items.join(",")).unwrap();
        // One address far from all networks, and one near to one of them.
        for address in [flips, networks[near.index(networks.len())].0 ^ (flips & 1 << (flips % 32))] {
            let bits = |address: u32| format!("{address:032b}");
            let expected = networks.iter().any(|(network, prefix)| bits(*network)[..*prefix] == bits(address)[..*prefix]);
            prop_assert_eq!(allow.contains(Ipv4Addr::from_bits(address)), expected);
        }
    }

    /// The oracle counts hosts one by one instead of masking bits.
    #[test]
    fn a_network_holds_exactly_its_addresses(address: u32, prefix in 1_u8..=32, other: u32) {
        let Some(cidr) = Cidr::new(Ipv4Addr::from_bits(address), prefix) else { return Ok(()) };
        let size = 1_u64 << (32 - prefix);
        let first = u64::from(address) / size * size;
        let inside = (first..first + size).contains(&u64::from(other));
        prop_assert_eq!(cidr.contains(Ipv4Addr::from_bits(other)), inside);
        prop_assert!(size <= 2 || (u64::from(address) != first && u64::from(address) != first + size - 1));
    }
}
