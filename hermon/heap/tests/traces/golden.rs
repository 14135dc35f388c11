//! Compares texts with the accepted ones. After an intended change: `ACCEPT=1 cargo test -p hermon -p hermon-heap`.

use std::fs;
use std::path::Path;

pub(crate) fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("ACCEPT").is_some() {
        fs::write(&path, found).unwrap();
    }
    let accepted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        accepted,
        "{} is out of date. If the change is meant, accept it: ACCEPT=1 cargo test -p {}",
        path.display(),
        env!("CARGO_PKG_NAME")
    );
}
