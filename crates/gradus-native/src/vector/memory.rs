//! Memory for code: written first, then made executable, never both.

use memmap2::{Mmap, MmapMut};

/// Finished code. It is unmapped when this is dropped.
pub(super) struct Code(Mmap);

impl Code {
    /// `None` where the system gives no such memory.
    pub fn new(bytes: &[u8]) -> Option<Code> {
        let mut m = MmapMut::map_anon(bytes.len()).ok()?;
        m.copy_from_slice(bytes);
        m.make_exec().ok().map(Code)
    }

    pub fn at(&self, offset: usize) -> *const u8 {
        self.0.as_ptr().wrapping_add(offset)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
