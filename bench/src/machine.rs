//! The machine in words, without names and paths; its load; this program's memory and CPU time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Processor, cores, memory, kernel, and the kind of file system that `dir` is on.
pub fn line(dir: &Path) -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory_kib: f64 = field("/proc/meminfo", "MemTotal").as_deref().and_then(kib).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
    format!(
        "{cpu}, {} cores, {:.0} GiB memory, Linux {kernel}, data on {}",
        cores(),
        memory_kib / 1024.0 / 1024.0,
        file_system(dir).unwrap_or_else(|| "an unknown file system".into())
    )
}

/// Processors this program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Programs that ran or waited to run, on average over the last minute.
pub fn load() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|v| v.parse().ok()).unwrap_or(0.0)
}

/// The revision measured; a plus sign: with changes that are not committed.
pub fn revision() -> String {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(out.stdout).ok()
    };
    let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)bench/results.json"]);
    let plus = if changed.is_some_and(|c| !c.trim().is_empty()) { "+" } else { "" };
    format!("{}{plus}", revision.trim())
}

/// The most memory this program has held since [`reset_peak`], MiB.
pub fn peak_mib() -> Option<f64> {
    Some(field("/proc/self/status", "VmHWM").as_deref().and_then(kib)? / 1024.0)
}

/// Begins a new peak; where the system does not allow it, the old one stands.
pub fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// What this program holds in memory now, MiB.
pub fn resident_mib() -> Option<f64> {
    Some(field("/proc/self/status", "VmRSS").as_deref().and_then(kib)? / 1024.0)
}

/// CPU time a process of one thread has used, where the kernel counts it.
pub fn process_cpu(pid: i32) -> Option<Duration> {
    let nanos = read(&format!("/proc/{pid}/schedstat")).split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// CPU time this thread has used, where the kernel counts it.
pub fn thread_cpu() -> Option<Duration> {
    let nanos = read("/proc/thread-self/schedstat").split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(value: &str) -> Option<f64> {
    value.strip_suffix(" kB")?.trim().parse().ok()
}

fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let text = read("/proc/self/mountinfo");
    let mounts = text.lines().filter_map(|l| {
        let (left, right) = l.split_once(" - ")?;
        Some((left.split(' ').nth(4)?, right.split(' ').next()?))
    });
    mounts.filter(|(at, _)| dir.starts_with(at)).max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind.to_owned())
}
