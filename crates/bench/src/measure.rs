//! Numbers: percentiles, processor time of processes, memory, the machine's name.

use std::time::Duration;

use serde_json::{Value, json};

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Nearest-rank percentile.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// Jobs a second.
pub fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

/// What runs here, since no figure means anything without it.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!(
        "machine: {cores} cores, {model}; load before the run {load} (a calm machine is below 0.3)"
    )
}

/// A process's memory by the kernel: at its peak, and now. Megabytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub peak_mb: f64,
    pub now_mb: f64,
}

impl Memory {
    pub fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kilobytes = |field: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim_start_matches(':')
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .ok()
        };
        Some(Self {
            peak_mb: kilobytes("VmHWM")? / 1024.0,
            now_mb: kilobytes("VmRSS")? / 1024.0,
        })
    }

    pub fn json(self) -> Value {
        json!({ "peak_mb": self.peak_mb, "now_mb": self.now_mb })
    }
}

/// Ticks of `/proc/*/stat`; 100 a second on every Linux we know (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// Processor seconds of a process, with the children it has waited for.
pub fn cpu_seconds(pid: u32) -> f64 {
    stat(&format!("/proc/{pid}/stat")).map_or(0.0, |stat| stat.own + stat.waited_for)
}

/// The same of a process and of the children it has now.
pub fn cpu_seconds_with_children(pid: u32) -> f64 {
    let children = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            let stat = stat(entry.path().join("stat").to_str()?)?;
            (stat.parent == pid).then_some(stat.own + stat.waited_for)
        });
    cpu_seconds(pid) + children.sum::<f64>()
}

/// Processor seconds of the threads of a process whose name begins so.
pub fn cpu_seconds_of_threads(pid: u32, name: &str) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter(|thread| {
            std::fs::read_to_string(thread.path().join("comm"))
                .is_ok_and(|comm| comm.starts_with(name))
        })
        .filter_map(|thread| stat(thread.path().join("stat").to_str()?))
        .map(|stat| stat.own)
        .sum()
}

struct Stat {
    parent: u32,
    own: f64,
    waited_for: f64,
}

fn stat(path: &str) -> Option<Stat> {
    let text = std::fs::read_to_string(path).ok()?;
    // The name, in parentheses, may hold spaces and parentheses itself.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS,
        waited_for: (ticks(13)? + ticks(14)?) / TICKS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(
            (percentile(&values, 50.0), percentile(&values, 99.0)),
            (100.0, 198.0)
        );
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn this_process_has_used_memory() {
        let memory = Memory::of(std::process::id()).expect("Linux tells");
        assert!(memory.peak_mb >= memory.now_mb && memory.now_mb > 0.5);
        // Its own time first: it goes on growing.
        let own = cpu_seconds(std::process::id());
        assert!(cpu_seconds_with_children(std::process::id()) >= own);
    }
}
