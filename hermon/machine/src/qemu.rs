//! The description of a virtual machine, and the QEMU command line for it. No code here starts a process.
//!
//! The options were measured with QEMU 7.2; the reasons are beside them.

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;
use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

use crate::append::{AppendError, append};

/// The address of this host's loopback in the guest's user network (QEMU's default, `-netdev user`).
pub const HOST_SEEN_BY_GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The address that the user network's DHCP server gives the guest.
pub const GUEST_BY_DHCP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// The NIC's hardware address.
pub const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// The machine type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Machine {
    /// PCI Express chipset.
    Q35,
    /// The old PCI chipset (i440FX).
    Pc,
    /// No PCI: virtio over MMIO, the fastest to boot.
    Microvm,
}

/// The accelerator, which executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// QEMU's translator: slow, works everywhere.
    Tcg,
    /// The host's processor.
    Kvm,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        })
    }
}

/// The guest's memory in MiB, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u32);

impl Memory {
    /// Returns `None` for 0.
    pub const fn mib(mib: u32) -> Option<Self> {
        if mib == 0 { None } else { Some(Self(mib)) }
    }
}

/// The error for a text that is not an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an amount of memory such as 64M or 8G")]
pub struct MemoryError(String);

impl FromStr for Memory {
    type Err = MemoryError;

    /// Reads `64` and `64M` as MiB, `8G` as GiB.
    fn from_str(text: &str) -> Result<Self, MemoryError> {
        let error = || MemoryError(text.to_owned());
        let (digits, factor) = match text.strip_suffix(['G', 'g']) {
            Some(digits) => (digits, 1024),
            None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let count: u32 = digits.parse().map_err(|_| error())?;
        count
            .checked_mul(factor)
            .and_then(Self::mib)
            .ok_or_else(error)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.0)
    }
}

/// The NIC, always virtio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nic {
    /// There is no NIC.
    None,
    /// The machine's default: transitional on PCI, MMIO on microvm.
    Default(Net),
    /// PCI, with the interface of virtio 1 and the one before it: device id 0x1000.
    Transitional(Net),
    /// PCI, only virtio 1: device id 0x1041.
    Modern(Net),
}

/// The network that the NIC is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Net {
    /// QEMU's own network: DHCP, and this host's loopback at [`HOST_SEEN_BY_GUEST`].
    User(Vec<Forward>),
    /// Ethernet frames between two ports on loopback, one frame a UDP datagram.
    Wire {
        /// The port on which QEMU receives frames for the guest.
        qemu: u16,
        /// The port to which QEMU sends the guest's frames.
        peer: u16,
    },
    /// QEMU's own network with these ports, and such a wire, on one hub: both get every frame of the guest, and the guest
    /// gets the frames of both.
    Hub {
        /// The ports that lead into the guest.
        forwards: Vec<Forward>,
        /// The port on which QEMU receives frames for the guest.
        qemu: u16,
        /// The port to which QEMU sends frames.
        peer: u16,
    },
}

/// A TCP port on this host's loopback that leads into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The port on 127.0.0.1.
    pub host: u16,
    /// The guest's address.
    pub address: Ipv4Addr,
    /// The guest's port.
    pub guest: u16,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The QEMU to run.
    pub qemu: PathBuf,
    /// The self-booting image.
    pub image: PathBuf,
    /// The machine type.
    pub machine: Machine,
    /// The accelerator.
    pub accel: Accel,
    /// The processor model; `None`: everything that the accelerator can do.
    pub cpu: Option<String>,
    /// The guest's memory.
    pub memory: Memory,
    /// The NIC and what it is connected to.
    pub nic: Nic,
    /// `true` if the machine has the device through which the guest can set QEMU's exit code (see
    /// [`crate::guest::Ended`]).
    pub debug_exit: bool,
    /// A Unix socket on which QEMU accepts commands (QMP), if any.
    pub qmp: Option<PathBuf>,
    /// The frequency of the time stamp counter (see [`crate::tsc`]).
    pub tsc_mhz: Option<u16>,
    /// The application's arguments.
    pub arguments: Vec<String>,
}

impl Vm {
    /// Returns QEMU's arguments, without the program's name.
    ///
    /// The console is QEMU's standard output. A reset of the guest ends QEMU.
    ///
    /// # Errors
    /// [`AppendError`] if the application's arguments cannot be passed on.
    pub fn command_line(&self) -> Result<Vec<OsString>, AppendError> {
        let mut line = CommandLine::default();
        line.option("-machine", self.machine_argument());
        line.option("-accel", self.accel.to_string());
        line.option(
            "-cpu",
            self.cpu.as_deref().unwrap_or(match self.accel {
                Accel::Tcg => "max",
                Accel::Kvm => "host",
            }),
        );
        line.option("-m", self.memory.to_string());
        for flag in ["-nodefaults", "-no-user-config", "-no-reboot"] {
            line.flag(flag);
        }
        line.option("-display", "none");
        line.option("-serial", "stdio");
        if self.debug_exit {
            line.option("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04");
        }
        if let Some(socket) = &self.qmp {
            // A comma in a value is written twice (QEMU, qemu-options: "Key-value lists").
            let path = socket.display().to_string().replace(',', ",,");
            line.option("-qmp", format!("unix:{path},server=on,wait=off"));
        }
        self.nic_options(&mut line);
        line.option("-kernel", self.image.clone());
        line.option("-append", append(self.tsc_mhz, &self.arguments)?);
        Ok(line.0)
    }

    fn machine_argument(&self) -> &'static str {
        match self.machine {
            Machine::Q35 => "q35",
            Machine::Pc => "pc",
            // The kernel knows only one IOAPIC. Without a CMOS clock (the default under KVM) it has no wall clock. By
            // default QEMU would append the devices to the command line, behind `--`, where the application would get
            // them.
            Machine::Microvm => "microvm,ioapic2=off,acpi=on,rtc=on,auto-kernel-cmdline=off",
        }
    }

    fn nic_options(&self, line: &mut CommandLine) {
        let (net, variant) = match &self.nic {
            Nic::None => return,
            Nic::Default(net) => (net, ""),
            Nic::Transitional(net) => (net, ",disable-legacy=off,disable-modern=off"),
            Nic::Modern(net) => (net, ",disable-legacy=on,disable-modern=off"),
        };
        for netdev in net.netdevs() {
            line.option("-netdev", netdev);
        }
        let [a, b, c, d, e, f] = GUEST_MAC;
        let mac = format!("mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        if self.machine == Machine::Microvm {
            line.option("-global", "virtio-mmio.force-legacy=false");
            line.option("-device", format!("virtio-net-device,netdev=net0,{mac}"));
        } else {
            // No boot ROM: it costs time, and its package is only recommended by QEMU's.
            line.option(
                "-device",
                format!("virtio-net-pci,netdev=net0,{mac},romfile={variant}"),
            );
        }
    }
}

impl Net {
    /// Returns the values of the options `-netdev`; the NIC is connected to `net0`.
    fn netdevs(&self) -> Vec<String> {
        match self {
            Self::User(forwards) => vec![user("net0", forwards)],
            Self::Wire { qemu, peer } => vec![wire("net0", *qemu, *peer)],
            Self::Hub {
                forwards,
                qemu,
                peer,
            } => vec![
                user("user", forwards),
                "hubport,id=hub-user,hubid=0,netdev=user".into(),
                wire("wire", *qemu, *peer),
                "hubport,id=hub-wire,hubid=0,netdev=wire".into(),
                "hubport,id=net0,hubid=0".into(),
            ],
        }
    }
}

fn user(id: &str, forwards: &[Forward]) -> String {
    let start = format!("user,id={id},ipv6=off");
    forwards.iter().fold(start, |argument, forward| {
        let Forward {
            host,
            address,
            guest,
        } = forward;
        argument + &format!(",hostfwd=tcp:127.0.0.1:{host}-{address}:{guest}")
    })
}

fn wire(id: &str, qemu: u16, peer: u16) -> String {
    format!("socket,id={id},udp=127.0.0.1:{peer},localaddr=127.0.0.1:{qemu}")
}

#[derive(Default)]
struct CommandLine(Vec<OsString>);

impl CommandLine {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.flag(name);
        self.0.push(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(machine: Machine, nic: Nic) -> Vm {
        Vm {
            qemu: "qemu-system-x86_64".into(),
            image: "app.elf".into(),
            machine,
            accel: Accel::Tcg,
            cpu: None,
            memory: Memory(64),
            nic,
            debug_exit: true,
            qmp: None,
            tsc_mhz: Some(2596),
            arguments: vec!["--vm".into(), "a b".into()],
        }
    }

    fn line(vm: &Vm) -> String {
        let words: Vec<String> = vm
            .command_line()
            .unwrap()
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        words.join(" ")
    }

    fn forward() -> Net {
        Net::User(vec![Forward {
            host: 12323,
            address: GUEST_BY_DHCP,
            guest: 2323,
        }])
    }

    #[test]
    fn a_q35_with_a_user_network_is_spelt_like_this() {
        assert_eq!(
            line(&vm(Machine::Q35, Nic::Default(forward()))),
            "-machine q35 -accel tcg -cpu max -m 64M -nodefaults -no-user-config -no-reboot -display none \
             -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
             -netdev user,id=net0,ipv6=off,hostfwd=tcp:127.0.0.1:12323-10.0.2.15:2323 \
             -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56,romfile= \
             -kernel app.elf -append app -freq 2596 -- --vm 'a b'"
        );
    }

    #[test]
    fn a_microvm_has_its_nic_on_mmio_with_the_modern_interface() {
        let line = line(&vm(Machine::Microvm, Nic::Default(forward())));
        assert!(line.contains("-machine microvm,ioapic2=off,"), "{line}");
        assert!(
            line.contains("-global virtio-mmio.force-legacy=false"),
            "{line}"
        );
        assert!(
            line.contains("-device virtio-net-device,netdev=net0,"),
            "{line}"
        );
        assert!(!line.contains("pci"), "{line}");
    }

    #[test]
    fn transitional_and_modern_nics_differ_in_their_device() {
        let both = line(&vm(Machine::Pc, Nic::Transitional(forward())));
        assert!(
            both.contains("disable-legacy=off,disable-modern=off"),
            "{both}"
        );
        let modern = line(&vm(Machine::Pc, Nic::Modern(forward())));
        assert!(
            modern.contains("disable-legacy=on,disable-modern=off"),
            "{modern}"
        );
    }

    #[test]
    fn a_wire_sends_to_the_peer_and_receives_on_its_own_port() {
        let line = line(&vm(
            Machine::Q35,
            Nic::Default(Net::Wire {
                qemu: 1001,
                peer: 1002,
            }),
        ));
        assert!(
            line.contains("-netdev socket,id=net0,udp=127.0.0.1:1002,localaddr=127.0.0.1:1001"),
            "{line}"
        );
    }

    #[test]
    fn a_hub_connects_the_nic_with_qemus_network_and_with_a_wire() {
        let net = Net::Hub {
            forwards: Vec::new(),
            qemu: 1001,
            peer: 1002,
        };
        let line = line(&vm(Machine::Q35, Nic::Default(net)));
        for part in [
            "-netdev user,id=user,ipv6=off ",
            "-netdev hubport,id=hub-user,hubid=0,netdev=user ",
            "-netdev socket,id=wire,udp=127.0.0.1:1002,localaddr=127.0.0.1:1001 ",
            "-netdev hubport,id=hub-wire,hubid=0,netdev=wire ",
            "-netdev hubport,id=net0,hubid=0 ",
            "-device virtio-net-pci,netdev=net0,",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn without_a_nic_there_is_no_network() {
        let line = line(&vm(Machine::Q35, Nic::None));
        assert!(!line.contains("net"), "{line}");
    }

    #[test]
    fn kvm_gets_the_hosts_processor_unless_another_is_named() {
        let mut vm = vm(Machine::Q35, Nic::None);
        vm.accel = Accel::Kvm;
        assert!(line(&vm).contains("-accel kvm -cpu host"));
        vm.cpu = Some("Nehalem".into());
        assert!(line(&vm).contains("-accel kvm -cpu Nehalem"));
    }

    #[test]
    fn memory_is_given_in_mebibytes_or_gibibytes() {
        assert_eq!("24M".parse(), Ok(Memory(24)));
        assert_eq!("24".parse(), Ok(Memory(24)));
        assert_eq!("8g".parse(), Ok(Memory(8192)));
        for text in [
            "",
            "0",
            "0G",
            "M",
            "-1",
            "+1",
            "1T",
            "1.5G",
            " 1",
            "4194304G",
            "4294967296",
        ] {
            let error = text.parse::<Memory>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{text:?} is not an amount of memory such as 64M or 8G")
            );
        }
    }
}
