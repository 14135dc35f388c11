//! Turns the addresses of a backtrace into functions and lines.

use std::path::Path;

use addr2line::Loader;

/// Returns the addresses on a line such as `backtrace: 0x2041c3 0x203f10`, in order.
pub fn addresses(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect()
}

/// Returns each address as `FUNCTION at FILE:LINE`, inlined functions before the function that contains them. Returns nothing for
/// an address outside the image.
///
/// `addresses` are return addresses, so the function looks up the byte before: it lies in the call.
///
/// # Panics
/// Panics if the image cannot be read.
pub fn frames(image: &Path, addresses: &[u64]) -> Vec<String> {
    let loader = Loader::new(image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
    let mut out = Vec::new();
    for address in addresses {
        let call = address.saturating_sub(1);
        // The function that the code belongs to, by the linker's symbols: DWARF does not name assembly.
        let symbol = loader
            .find_symbol(call)
            .map(|name| addr2line::demangle_auto(name.into(), None).into_owned());
        let mut inlined: Vec<(Option<String>, String)> = Vec::new();
        if let Ok(mut frames) = loader.find_frames(call) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame
                    .function
                    .as_ref()
                    .and_then(|name| Some(name.demangle().ok()?.into_owned()));
                let place = frame
                    .location
                    .as_ref()
                    .map_or_else(String::new, |location| {
                        format!(
                            " at {}:{}",
                            location.file.unwrap_or("?"),
                            location.line.unwrap_or(0)
                        )
                    });
                inlined.push((name, place));
            }
        }
        match inlined.last_mut() {
            Some((name, _)) => *name = name.take().or(symbol),
            None => inlined.extend(symbol.map(|symbol| (Some(symbol), String::new()))),
        }
        out.extend(
            inlined
                .into_iter()
                .map(|(name, place)| name.unwrap_or_else(|| "?".to_owned()) + &place),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand_in_a_line() {
        assert_eq!(
            addresses("backtrace: 0x2041c3 0x203f10"),
            [0x20_41c3, 0x20_3f10]
        );
        assert!(addresses("no address: 0x, 0xg 12").is_empty());
    }

    #[test]
    fn an_address_of_this_program_has_its_functions_name() {
        // The program is position-independent, so an address in the file is the one here less the base. The test uses a symbol of
        // the file instead.
        let program = std::env::current_exe().expect("this program");
        let object = Loader::new(&program).expect("readable");
        let found = (0..1 << 24)
            .step_by(64)
            .find_map(|address| object.find_symbol(address).map(|_| address));
        let address = found.expect("a symbol in the first 16 MiB");
        assert!(!frames(&program, &[address + 1]).is_empty());
    }
}
