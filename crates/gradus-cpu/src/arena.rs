//! Memory aligned to cache lines.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Zeroed floats that never move.
pub(crate) struct Arena {
    at: NonNull<f64>,
    len: usize,
}

// Only plain numbers behind an owned pointer.
unsafe impl Send for Arena {}
unsafe impl Sync for Arena {}

impl Arena {
    /// `None` where there is not so much memory.
    pub fn new(len: usize) -> Option<Arena> {
        let layout = Arena::layout(len)?;
        // SAFETY: the layout's size is not zero.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<f64>())?;
        Some(Arena { at, len })
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1).checked_mul(8)?, 64).ok()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_ptr(&self) -> *mut f64 {
        self.at.as_ptr()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Some(layout) = Arena::layout(self.len) {
            // SAFETY: allocated in `new` with the same layout.
            unsafe { dealloc(self.at.as_ptr().cast(), layout) }
        }
    }
}
