//! Shortens the names of functions for people: without generic arguments, hashes and traits.
//!
//! | in the symbol table or in DWARF | here |
//! |---|---|
//! | `_RNvMs_NtC…10monitoring7counterNtB4_7Counter3add` | `monitoring::counter::Counter::add` |
//! | `core::ptr::drop_in_place::<alloc::string::String>` | `core::ptr::drop_in_place` |
//! | `<app::Cache<u8> as core::fmt::Debug>::fmt::{closure#0}` | `app::Cache::fmt::{closure#0}` |
//! | `push<u8, alloc::alloc::Global>` | `push` |
//!
//! The line still distinguishes functions whose short names are equal. Two instances of one function have the same source, and
//! methods of one name in different traits are on different lines.

/// Returns the name without generic arguments, hash and trait. Mangled names of Rust are demangled first. The cost is linear in the
/// length for real names, and quadratic at worst.
pub fn normalise(name: &str) -> String {
    // The alternate form leaves out the hash of the legacy scheme and the disambiguators of crates of the current one.
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let mut out = String::with_capacity(name.len());
    strip(&name, &mut out);
    out
}

/// Appends `name` without the text between angle brackets. `<Type as Trait>` at the beginning becomes `Type`.
fn strip(name: &str, out: &mut String) {
    let start = out.len();
    let mut rest = name;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let (inside, after) = bracketed(&rest[at..]);
        if out[start..].is_empty() {
            // A qualified path. What is before ` as ` is the type: ` as ` inside of it would be in brackets of its own.
            let subject = outermost(inside, " as ").map_or(inside, |as_| &inside[..as_]);
            strip(subject, out);
        } else if out.ends_with("::") {
            out.truncate(out.len() - 2);
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Divides a text that begins with `<` in the text inside the brackets and the text after them. Without a closing bracket, all is
/// inside.
fn bracketed(text: &str) -> (&str, &str) {
    match closing(text) {
        Some(end) => (&text[1..end], &text[end + 1..]),
        None => (&text[1..], ""),
    }
}

/// Returns the position of the bracket that closes the one at the beginning. The `>` of an arrow closes nothing.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = b' ';
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before != b'-' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        before = byte;
    }
    None
}

/// Returns the position of `needle` in `text` outside of all angle brackets.
fn outermost(text: &str, needle: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = &text[from..];
        let found = rest.find(needle)?;
        match rest[..found].find('<') {
            Some(open) => from += open + closing(&rest[open..])? + 1,
            None => return Some(from + found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_arguments_are_left_out() {
        for (name, want) in [
            ("push<u8, alloc::alloc::Global>", "push"),
            (
                "core::ptr::drop_in_place::<alloc::vec::Vec<u8>>",
                "core::ptr::drop_in_place",
            ),
            (
                "<app::Cache<u8>>::get::<&str>::{closure#0}",
                "app::Cache::get::{closure#0}",
            ),
            ("call_once<fn(u8) -> Option<u8>, (u8,)>", "call_once"),
            ("a::<b>::c::<d>", "a::c"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(normalise(name), want, "{name}");
        }
    }

    #[test]
    fn a_method_is_named_by_its_type_not_by_its_trait() {
        for (name, want) in [
            (
                "<app::Cache<u8> as core::fmt::Debug>::fmt",
                "app::Cache::fmt",
            ),
            ("<<a::B as c::D>::E as f::G<h::I>>::j", "a::B::E::j"),
            (
                "<&[core::option::Option<u8>] as core::fmt::Debug>::fmt",
                "&[core::option::Option]::fmt",
            ),
            (
                "<dyn core::fmt::Write>::write_fmt",
                "dyn core::fmt::Write::write_fmt",
            ),
            ("<fn(u8) -> u8 as a::B>::c", "fn(u8) -> u8::c"),
            ("<a::B<C as D> as e::F>::g", "a::B::g"),
        ] {
            assert_eq!(normalise(name), want, "{name}");
        }
    }

    #[test]
    fn mangled_names_lose_their_hash() {
        assert_eq!(
            normalise("_ZN4core3ptr13drop_in_place17h0123456789abcdefE"),
            "core::ptr::drop_in_place"
        );
        assert_eq!(normalise("_RNvC6_123foo3bar"), "123foo::bar");
    }

    #[test]
    fn brackets_that_do_not_match_end_somewhere() {
        for name in [
            "<",
            ">",
            "<<a",
            "a<b",
            "a>b",
            "<a as b",
            "->",
            "a<->",
            "<é as ü>::ß",
            "<>::a",
            "<> as <>",
        ] {
            let _ = normalise(name);
        }
    }
}
