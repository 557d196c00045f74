//! A look at every write, for tests that break the disk.

use std::io;

/// Is told of every write of a [`crate::Store`] and may make it fail, as a disk does.
/// For tests: a store without a probe ([`crate::Store::set_probe`]) writes as ever.
pub trait Probe: Send + Sync {
    /// Before a write.
    ///
    /// # Errors
    /// The write is refused with this; nothing of it is written.
    fn before(&self, synced: bool) -> io::Result<()>;

    /// After a write; with `synced` the disk has said that it holds it.
    ///
    /// # Errors
    /// The writer is told this, though the disk may hold the write or a part of it.
    fn after(&self, synced: bool) -> io::Result<()>;
}
