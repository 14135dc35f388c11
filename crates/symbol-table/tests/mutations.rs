//! Tables that were tampered with, checksum and all: whatever they say, a lookup ends, and within its bounds.

mod sealed;

use std::sync::LazyLock;

use proptest::prelude::*;
use symbol_table::write::{Row, write};
use symbol_table::{Coverage, Frame, Scratch, Symbols};

use crate::sealed::{look_around, seal};

/// A table whose lists have several groups.
static TABLE: LazyLock<Vec<u8>> = LazyLock::new(written);

fn written() -> Vec<u8> {
    let names: Vec<String> = (0..60)
        .map(|n| format!("crate::module::Type::function_{n}"))
        .collect();
    let files: Vec<String> = (0..20)
        .map(|n| format!("crate/src/module_{n}.rs"))
        .collect();
    let rows: Vec<Row<'_>> = (0..400)
        .map(|at| Row {
            address: 0x20_0000 + at as u64 * 7,
            frames: (0..at % 7)
                .map(|depth| Frame {
                    function: &names[(at / 16 + depth) % names.len()],
                    file: &files[(at / 20 + depth) % files.len()],
                    line: (at % 3 * 1000 + depth) as u32,
                })
                .collect(),
        })
        .collect();
    let table = write(&rows, Coverage::All, &[7; 20]).expect("a table");
    assert!(
        table.files.min(table.functions).min(table.rows) > 16,
        "{table}"
    );
    table.bytes
}

#[test]
fn the_checksum_is_what_the_format_says() {
    let table = &*TABLE;
    let mut sealed = table.clone();
    seal(&mut sealed);
    assert!(sealed == *table);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_change_of_bytes_makes_a_lookup_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), header in any::<bool>()) {
        let mut table = TABLE.clone();
        for (at, byte) in changes {
            // Half of them where the sizes are.
            let end = if header { 76 } else { table.len() };
            let at = 16 + at.index(end - 16);
            table[at] = byte;
        }
        seal(&mut table);
        if let Ok(symbols) = Symbols::parse(&table) {
            look_around(&symbols, &mut Scratch::new());
        }
    }
}

#[test]
fn a_table_that_is_cut_off_is_refused() {
    let table = &*TABLE;
    for length in 0..table.len() {
        assert!(Symbols::parse(&table[..length]).is_err(), "{length} bytes");
        // Even if it says so itself.
        let mut shorter = table[..length].to_vec();
        if length >= 76 {
            shorter[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            seal(&mut shorter);
            assert!(Symbols::parse(&shorter).is_err(), "{length} bytes, sealed");
        }
    }
    let whole = Symbols::parse(table).expect("a table");
    assert!(look_around(&whole, &mut Scratch::new()) > 1000);
}

proptest! {
    #[test]
    fn no_bytes_make_a_lookup_panic(
        parts in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 300..400),
        items in prop::array::uniform3(0..=32_u32),
        bytes in prop::array::uniform4(0..=60_u32),
    ) {
        let mut table = [&TABLE[..76], &parts].concat();
        let length = table.len() as u32;
        let [files, functions, rows] = items;
        let sizes = [files, bytes[0], functions, bytes[1], rows, bytes[2], bytes[3]];
        table[4..8].copy_from_slice(&length.to_le_bytes());
        table[48..76].copy_from_slice(sizes.map(u32::to_le_bytes).as_flattened());
        seal(&mut table);
        // Sizes that fit are a table, whatever is in its parts.
        let symbols = Symbols::parse(&table).expect("a table");
        look_around(&symbols, &mut Scratch::new());
    }
}
