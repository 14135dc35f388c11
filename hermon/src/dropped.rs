//! Datagrams that the system dropped because this process did not read them in time.
//!
//! Linux counts them per socket and shows the count in `/proc/net/udp` and `udp6` (proc_pid_net(5), column `drops`).
//! Without it such a loss would be invisible here: nothing arrives, and nobody says so.

use core::net::SocketAddr;
use std::fs;

/// Returns how many datagrams to this address the system has dropped since its socket was opened; `None` where it does not tell.
pub(crate) fn datagrams(address: SocketAddr) -> Option<u64> {
    let file = match address {
        SocketAddr::V4(_) => "/proc/net/udp",
        SocketAddr::V6(_) => "/proc/net/udp6",
    };
    drops_in(&fs::read_to_string(file).ok()?, address)
}

/// The table's row for an address: `sl local_address rem_address st … drops`.
fn drops_in(table: &str, address: SocketAddr) -> Option<u64> {
    let wanted = as_in_table(address);
    table.lines().skip(1).find_map(|row| {
        let mut cells = row.split_ascii_whitespace();
        (cells.nth(1)? == wanted)
            .then(|| cells.last()?.parse().ok())
            .flatten()
    })
}

/// Each 32 bits of the address are printed as a number of the host's byte order.
fn as_in_table(address: SocketAddr) -> String {
    let octets: Vec<u8> = match address {
        SocketAddr::V4(v4) => v4.ip().octets().into(),
        SocketAddr::V6(v6) => v6.ip().octets().into(),
    };
    let mut text = String::new();
    for word in octets.chunks_exact(4) {
        let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        text.push_str(&format!("{word:08X}"));
    }
    format!("{text}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_datagram_that_finds_no_room_is_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap();
        let Some(before) = datagrams(address) else {
            eprintln!("SKIPPED: this system has no /proc/net/udp");
            return;
        };
        assert_eq!(before, 0);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            sender.send_to(&[0; 32_768], address).unwrap();
        }
        let mut read = 0;
        receiver.set_nonblocking(true).unwrap();
        let mut buffer = [0; 65_536];
        while receiver.recv(&mut buffer).is_ok() {
            read += 1;
        }
        assert_eq!(datagrams(address), Some(200 - read));
    }

    #[test]
    fn the_row_is_found_by_address_and_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 5\n\
            2: 0100007F:1F9E 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 2 2 0 17\n";
        if cfg!(target_endian = "little") {
            assert_eq!(drops_in(table, "127.0.0.1:8094".parse().unwrap()), Some(17));
        }
        assert_eq!(drops_in(table, "127.0.0.1:9".parse().unwrap()), None);
        assert_eq!(drops_in("", "127.0.0.1:9".parse().unwrap()), None);
    }
}
