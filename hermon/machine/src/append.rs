//! The guest's kernel command line: `app -freq MHZ -- APPLICATION ARGUMENTS`.
//!
//! Hermit splits it with the crate `shell-words` (hermit-kernel 0.11.0, src/env.rs) and hands everything after `--` to
//! the application; the same crate quotes here.

use thiserror::Error;

/// The longest command line, in bytes without the NUL. QEMU's PVH option ROM has a buffer of 4,096 bytes (QEMU,
/// pc-bios/optionrom/pvh_main.c); what is longer would reach the guest cut, and a cut quotation mark panics its kernel.
pub const MAX_APPEND: usize = 4095;

/// The reason why there is no command line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// More than [`MAX_APPEND`] bytes after quoting.
    #[error(
        "application arguments need a kernel command line of {0} bytes, the limit is {MAX_APPEND}: give fewer"
    )]
    TooLong(usize),
    /// A NUL ends a command line on its way into the guest.
    #[error("application argument {0:?} contains a NUL byte")]
    Nul(String),
}

/// The command line for an application with these arguments.
///
/// `tsc_mhz`: the frequency of the guest's time stamp counter; `None` lets the kernel measure it, which is wrong by up
/// to half on a busy host.
///
/// # Errors
/// [`AppendError`] if the line would not reach the guest whole.
///
/// ```
/// use hermon_machine::append::append;
/// let arguments = ["--vm", "my vm"].map(String::from);
/// assert_eq!(append(Some(2596), &arguments).unwrap(), "app -freq 2596 -- --vm 'my vm'");
/// ```
pub fn append(tsc_mhz: Option<u16>, arguments: &[String]) -> Result<String, AppendError> {
    if let Some(argument) = arguments.iter().find(|argument| argument.contains('\0')) {
        return Err(AppendError::Nul(argument.clone()));
    }
    let mut line = String::from("app");
    if let Some(mhz) = tsc_mhz {
        line += &format!(" -freq {mhz}");
    }
    line += " --";
    if !arguments.is_empty() {
        line += " ";
        line += &shell_words::join(arguments);
    }
    if line.len() > MAX_APPEND {
        return Err(AppendError::TooLong(line.len()));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the kernel does with the line: words, then everything after the first `--`.
    fn as_the_guest_reads(line: &str) -> Vec<String> {
        let words = shell_words::split(line).expect("the kernel unwraps this");
        let start = words
            .iter()
            .position(|word| word == "--")
            .expect("there is a separator");
        words[start + 1..].to_vec()
    }

    #[test]
    fn without_arguments_the_separator_is_last() {
        assert_eq!(append(None, &[]).as_deref(), Ok("app --"));
        assert_eq!(
            append(Some(65535), &[]).as_deref(),
            Ok("app -freq 65535 --")
        );
    }

    #[test]
    fn the_limit_is_exact_and_the_error_gives_both_lengths() {
        let fits = MAX_APPEND - "app -- ".len();
        assert!(append(None, &["a".repeat(fits)]).is_ok());
        let error = append(None, &["a".repeat(fits + 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "application arguments need a kernel command line of 4096 bytes, the limit is 4095: give fewer"
        );
    }

    #[test]
    fn a_nul_is_refused_by_name() {
        let error = append(None, &["a\0b".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "application argument \"a\\0b\" contains a NUL byte"
        );
    }

    proptest! {
        #[test]
        fn the_guest_reads_the_arguments_that_were_given(
            arguments in prop::collection::vec("[,' =\"\\\\\n\r\t#$`*?é-]{0,6}", 0..8),
        ) {
            let line = append(Some(2600), &arguments).unwrap();
            prop_assert_eq!(as_the_guest_reads(&line), arguments);
        }
    }
}
