//! Looks at files from time to time and says when they changed. A thread of its own: files may lie on a slow disk.

use parking_lot::{Condvar, Mutex};
use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

/// How often files are looked at for a change, unless said otherwise.
pub const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The thread; it ends when this is dropped.
pub struct FileWatch {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl FileWatch {
    /// Calls `changed` whenever a file has other content than at the last look, one of them `every` so often.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(paths: Vec<PathBuf>, every: Duration, changed: impl Fn() + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let mut seen = Look::at(&paths);
        let thread = thread::Builder::new().name("tls-files".into()).spawn(move || {
            let (flag, signal) = &*stopped;
            let mut is_over = flag.lock();
            while !*is_over {
                signal.wait_for(&mut is_over, every);
                let now = Look::after(&seen, &paths);
                if !*is_over && now.contents != seen.contents {
                    changed();
                }
                seen = now;
            }
        })?;
        Ok(FileWatch { stop, thread: Some(thread) })
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches certificates did not end well");
        }
    }
}

/// What the files looked like. A file that is not there is one more look.
#[derive(PartialEq, Eq)]
struct Look {
    times: Vec<Option<(SystemTime, u64)>>,
    contents: Vec<Option<u64>>,
}

impl Look {
    fn at(paths: &[PathBuf]) -> Look {
        Look { times: times(paths), contents: contents(paths) }
    }

    /// The contents are only read when a time or size changed.
    fn after(before: &Look, paths: &[PathBuf]) -> Look {
        let times = times(paths);
        let contents = if times == before.times { before.contents.clone() } else { contents(paths) };
        Look { times, contents }
    }
}

fn times(paths: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let of = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(of).collect()
}

fn contents(paths: &[PathBuf]) -> Vec<Option<u64>> {
    let of = |path: &PathBuf| {
        let mut hasher = DefaultHasher::new();
        fs::read(path).ok()?.hash(&mut hasher);
        Some(hasher.finish())
    };
    paths.iter().map(of).collect()
}
