//! Files as memory, for weights that are larger than what one wants to copy.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file for reading. It must not be cut short or written to while it is
/// mapped: reading past its new end would end the process. Model files, which
/// are replaced and never changed in place, keep to that.
pub fn map_file(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the mapping is private and read-only; that nobody changes the
    // file beneath it is what the documentation asks of the caller.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_as_its_bytes() {
        let path = std::env::temp_dir().join(format!("torch-ext-map-{}", std::process::id()));
        std::fs::write(&path, b"weights").expect("the temporary folder can be written to");
        let bytes = map_file(&path).map(|map| map.to_vec());
        std::fs::remove_file(&path).expect("it was just written");
        assert_eq!(bytes.expect("it was just written"), b"weights");
        assert!(map_file(&path).is_err());
    }
}
