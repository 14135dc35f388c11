//! Writes a flattened device tree: Hermit takes memory, command line and ACPI root pointer in this form.
//!
//! ```text
//! header (40 bytes) | empty memory reservation block | names of the properties | nodes and properties
//! ```
//! Source: Devicetree Specification, release v0.4, chapter 5. All numbers are big-endian.

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE_VERSION: u32 = 16;
const HEADER_BYTES: usize = 40;
/// One entry, all zero: the end of the list.
const RESERVATIONS_BYTES: usize = 16;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

const NAMES: &[u8] = b"#address-cells\0#size-cells\0device_type\0reg\0bootargs\0compatible\0\0";
const NAMES_AT: usize = HEADER_BYTES + RESERVATIONS_BYTES;
const NODES_AT: usize = NAMES_AT + NAMES.len();
const _: () = assert!(NODES_AT.is_multiple_of(4), "nodes are aligned to 4 bytes");

/// A property that Hermit reads; the number is the offset of its name in [`NAMES`].
#[derive(Clone, Copy)]
#[repr(u32)]
enum Name {
    AddressCells = 0,
    SizeCells = 15,
    DeviceType = 27,
    Reg = 39,
    BootArgs = 43,
    Compatible = 52,
}

/// The buffer is too small for the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The machine that the tree describes.
pub struct Machine<'a, M> {
    /// Usable memory: start and size in bytes of each region.
    pub memory: M,
    /// The kernel's command line.
    pub bootargs: &'a [u8],
    /// Physical address of the ACPI root pointer, if one is known.
    pub rsdp: Option<u64>,
}

/// Writes the tree into `out` and returns its length in bytes. After an error the content of `out` is unspecified.
///
/// # Errors
/// Returns [`Full`] if `out` is too small.
pub fn write<M>(machine: Machine<'_, M>, out: &mut [u8]) -> Result<usize, Full>
where
    M: Iterator<Item = (u64, u64)>,
{
    out.get_mut(..NODES_AT).ok_or(Full)?.fill(0);
    out[NAMES_AT..NODES_AT].copy_from_slice(NAMES);
    let mut nodes = Nodes { out, at: NODES_AT };

    nodes.begin(b"", None)?;
    nodes.property(Name::Compatible, &[b"hermit,pvh\0"])?;
    nodes.property(Name::AddressCells, &[&2u32.to_be_bytes()])?;
    nodes.property(Name::SizeCells, &[&2u32.to_be_bytes()])?;
    for (start, bytes) in machine.memory {
        nodes.begin(b"memory@", Some(start))?;
        nodes.property(Name::DeviceType, &[b"memory\0"])?;
        nodes.property(Name::Reg, &[&start.to_be_bytes(), &bytes.to_be_bytes()])?;
        nodes.end()?;
    }
    if let Some(address) = machine.rsdp {
        nodes.begin(b"hermit,rsdp@", Some(address))?;
        nodes.property(Name::Reg, &[&address.to_be_bytes(), &1u64.to_be_bytes()])?;
        nodes.end()?;
    }
    nodes.begin(b"chosen", None)?;
    nodes.property(Name::BootArgs, &[machine.bootargs, b"\0"])?;
    nodes.end()?;
    nodes.end()?;
    nodes.word(END)?;

    let Nodes { out, at } = nodes;
    let header = [
        MAGIC,
        at as u32,
        NODES_AT as u32,
        NAMES_AT as u32,
        HEADER_BYTES as u32,
        VERSION,
        LAST_COMPATIBLE_VERSION,
        0,
        NAMES.len() as u32,
        (at - NODES_AT) as u32,
    ];
    for (field, value) in out.as_chunks_mut::<4>().0.iter_mut().zip(header) {
        *field = value.to_be_bytes();
    }
    Ok(at)
}

struct Nodes<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl Nodes<'_> {
    fn begin(&mut self, name: &[u8], unit: Option<u64>) -> Result<(), Full> {
        self.word(BEGIN_NODE)?;
        self.bytes(name)?;
        if let Some(mut unit) = unit {
            let mut digits = [0; 16];
            let mut first = digits.len();
            loop {
                first -= 1;
                digits[first] = b"0123456789abcdef"[(unit % 16) as usize];
                unit /= 16;
                if unit == 0 {
                    break;
                }
            }
            self.bytes(&digits[first..])?;
        }
        self.bytes(b"\0")?;
        self.align()
    }

    fn end(&mut self) -> Result<(), Full> {
        self.word(END_NODE)
    }

    fn property(&mut self, name: Name, value: &[&[u8]]) -> Result<(), Full> {
        self.word(PROPERTY)?;
        self.word(value.iter().map(|part| part.len() as u32).sum())?;
        self.word(name as u32)?;
        for part in value {
            self.bytes(part)?;
        }
        self.align()
    }

    fn word(&mut self, word: u32) -> Result<(), Full> {
        self.bytes(&word.to_be_bytes())
    }

    fn align(&mut self) -> Result<(), Full> {
        self.bytes(&[0; 3][..self.at.next_multiple_of(4) - self.at])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        self.out
            .get_mut(self.at..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(bootargs: &[u8]) -> Machine<'_, impl Iterator<Item = (u64, u64)>> {
        Machine {
            memory: [(0, 0x9_fc00), (0x10_0000, 0x1f0_0000), (1 << 32, 6 << 30)].into_iter(),
            bootargs,
            rsdp: Some(0xf_5a90),
        }
    }

    #[test]
    fn an_independent_reader_finds_everything() {
        let mut out = [0xaa; 1024];
        let length = write(machine(b"app -freq 2600 -- --vm a"), &mut out).unwrap();
        let tree = fdt::Fdt::new(&out[..length]).unwrap();
        assert_eq!(tree.total_size(), length);
        assert_eq!(tree.root().compatible().first(), "hermit,pvh");
        assert_eq!(tree.chosen().bootargs(), Some("app -freq 2600 -- --vm a"));
        let regions: Vec<_> = tree
            .find_all_nodes("/memory")
            .map(|node| node.reg().unwrap().next().unwrap())
            .map(|region| (region.starting_address as u64, region.size.unwrap() as u64))
            .collect();
        assert_eq!(regions, machine(b"").memory.collect::<Vec<_>>());
        let rsdp = tree
            .find_node("/hermit,rsdp")
            .unwrap()
            .reg()
            .unwrap()
            .next()
            .unwrap();
        assert_eq!(rsdp.starting_address as u64, 0xf_5a90);
    }

    #[test]
    fn every_buffer_that_is_too_small_is_refused() {
        let mut out = [0; 1024];
        let length = write(machine(b"app"), &mut out).unwrap();
        for short in 0..length {
            assert_eq!(
                write(machine(b"app"), &mut out[..short]),
                Err(Full),
                "{short} bytes"
            );
        }
        assert_eq!(write(machine(b"app"), &mut out[..length]), Ok(length));
    }

    #[test]
    fn a_name_stands_where_its_number_says() {
        for (name, text) in [
            (Name::AddressCells, "#address-cells"),
            (Name::SizeCells, "#size-cells"),
            (Name::DeviceType, "device_type"),
            (Name::Reg, "reg"),
            (Name::BootArgs, "bootargs"),
            (Name::Compatible, "compatible"),
        ] {
            assert!(
                NAMES[name as usize..].starts_with(text.as_bytes()),
                "{text}"
            );
            assert_eq!(NAMES[name as usize + text.len()], 0, "{text}");
        }
    }
}
