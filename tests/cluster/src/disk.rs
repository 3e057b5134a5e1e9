//! A disk whose power can be cut: an ext4 file system in a file. Cutting means that everything not synced is gone, which
//! `kill -9` does not show.

use crate::tools::run;
use std::fs::File;
use std::path::{Path, PathBuf};

const SIZE_BYTES: u64 = 256 * 1024 * 1024;

/// `EXT4_IOC_SHUTDOWN` with the flag that flushes no journal. There is no safe call for it in Rust, hence Python.
const CUT: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A mounted file system in a file. Unmounted when dropped.
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes the file system beside the mount point and mounts it. Needs root; see [`crate::tools::loop_disks`].
    #[must_use]
    pub fn mount(mount: &Path) -> Self {
        let image = mount.with_extension("img");
        std::fs::create_dir_all(mount).expect("the mount point can be made");
        File::create(&image).and_then(|file| file.set_len(SIZE_BYTES)).expect("the image can be made");
        let disk = Disk { image, mount: mount.to_owned() };
        run("mkfs.ext4", &["-q", "-F", &text(&disk.image)]).expect("mkfs works");
        disk.attach();
        disk
    }

    fn attach(&self) {
        run("mount", &["-o", "loop", &text(&self.image), &text(&self.mount)]).expect("mounting works as root");
    }

    /// Cuts the power: from now on the file system gives errors, and what was not synced is lost.
    pub fn cut_power(&self) {
        run("python3", &["-c", CUT, &text(&self.mount)]).expect("the shutdown ioctl works");
    }

    /// Mounts again after a cut; the journal is replayed. No process may have a file open.
    pub fn restore_power(&self) {
        run("umount", &[&text(&self.mount)]).expect("nobody uses the disk any more");
        self.attach();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(run("umount", &["--lazy", &text(&self.mount)]));
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::take_turn;
    use crate::tools;
    use std::io::Write;

    /// The fault must be a fault: otherwise the scenario that uses it proves nothing.
    #[test]
    fn a_power_cut_keeps_what_was_synced_and_loses_what_was_not() {
        if !tools::available("a power cut", "root, loop devices, mkfs.ext4 and python3", tools::loop_disks()) {
            return;
        }
        let _turn = take_turn();
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().join("disk");
        let disk = Disk::mount(&mount);
        let mut kept = File::create(mount.join("kept")).unwrap();
        kept.write_all(b"synced").unwrap();
        kept.sync_all().unwrap();
        File::open(&mount).unwrap().sync_all().unwrap();
        kept.write_all(b", and more that is not").unwrap();
        std::fs::write(mount.join("lost"), "never synced").unwrap();
        drop(kept);
        disk.cut_power();
        assert!(std::fs::write(mount.join("late"), "x").is_err(), "the disk is off");
        disk.restore_power();
        assert_eq!(std::fs::read_to_string(mount.join("kept")).unwrap(), "synced");
        assert!(!mount.join("lost").exists());
    }
}
