//! What tests of the bytes of both families use.
#![allow(unreachable_pub)]

/// Where the first section begins: behind header, five entries of the section table and their CRC.
pub const FIRST_SECTION: usize = 12 + 24 * 5 + 4;

/// Sixteen bytes a line, with their offset.
pub fn hex_dump(bytes: &[u8]) -> String {
    let line = |(number, chunk): (usize, &[u8])| {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:06x}  {}\n", number * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

/// Compares with a golden file; `BLESS=1 cargo test -p snncc-image` writes it anew.
pub fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{path} differs: a change of the format needs a new version in docs/IMAGE_FORMAT.md");
}

/// Makes all CRCs right again.
pub fn seal(bytes: &mut [u8]) {
    for section in 0..5 {
        let entry = 12 + 24 * section;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let (start, len) = (number(entry + 4), number(entry + 12));
        if let Some(body) = start.checked_add(len).and_then(|end| bytes.get(start..end)) {
            let crc = crc32fast::hash(body);
            bytes[entry + 20..entry + 24].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let covered = 12 + 24 * 5;
    let crc = crc32fast::hash(&bytes[..covered]);
    bytes[covered..covered + 4].copy_from_slice(&crc.to_le_bytes());
}
