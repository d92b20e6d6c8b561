//! Little-endian bytes: a writer, and a reader that never trusts a count.

/// Appends little-endian values.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {
        impl Writer {
            $(pub(crate) fn $name(&mut self, value: $type) {
                self.bytes.extend_from_slice(&value.to_le_bytes());
            })*
        }
        impl Reader<'_> {
            $(pub(crate) fn $name(&mut self) -> Result<$type, Fault> {
                let bytes = self.take(size_of::<$type>())?;
                Ok(<$type>::from_le_bytes(bytes.try_into().expect("bug in snncc: length")))
            })*
        }
    };
}

integers!(u8: u8, u16: u16, u32: u32, u64: u64, i8: i8, i32: i32, i64: i64, f64: f64);

impl Writer {
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("bug in snncc: more than 2^32 items in an image"));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// What is wrong with the bytes.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) String);

/// Takes little-endian values off a slice.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        if len > self.remaining() {
            return Err(Fault(format!("{len} bytes wanted at byte {}, {} left", self.at, self.remaining())));
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    /// A count of items of at least `item_bytes` bytes each, which must still fit into what is left.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, Fault> {
        let at = self.at;
        let count = self.u32()? as usize;
        if count > self.remaining() / item_bytes.max(1) {
            return Err(Fault(format!(
                "{count} items announced at byte {at}, but only {} bytes follow",
                self.remaining()
            )));
        }
        Ok(count)
    }

    /// `count` items, read one by one.
    pub(crate) fn list<T>(
        &mut self,
        item_bytes: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let count = self.count(item_bytes)?;
        (0..count).map(|_| item(self)).collect()
    }

    /// A list of words.
    pub(crate) fn words(&mut self) -> Result<Vec<u32>, Fault> {
        let count = self.count(size_of::<u32>())?;
        let (words, _) = self.take(count * size_of::<u32>())?.as_chunks();
        Ok(words.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    pub(crate) fn text(&mut self) -> Result<String, Fault> {
        let count = self.count(1)?;
        let bytes = self.take(count)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Fault(format!("text at byte {} is not UTF-8", self.at - count)))
    }
}
