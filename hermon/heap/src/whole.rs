//! Files that are read as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Returns the content of a file, also of one without an end or a size.
///
/// # Errors
/// The system's error, or that the file has more than `most` bytes.
pub(crate) fn whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("it is larger than {} MiB", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_too_large() {
        let error = whole(Path::new("/dev/zero"), 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MiB");
    }

    #[test]
    fn a_file_of_the_largest_size_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 64]).unwrap();
        assert_eq!(whole(file.path(), 64).unwrap(), [7; 64]);
        assert!(whole(file.path(), 63).is_err());
    }
}
