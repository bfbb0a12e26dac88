//! Memory that a process really has.

use std::fs;

/// Resident bytes of a process, file mappings included; `None` where the system does not tell.
pub(crate) fn of_process(id: u32) -> Option<u64> {
    in_status(id, "VmRSS:")
}

/// The most resident bytes that a process has had; `None` where the system does not tell.
pub(crate) fn peak_of_process(id: u32) -> Option<u64> {
    in_status(id, "VmHWM:")
}

fn in_status(id: u32, name: &str) -> Option<u64> {
    kib(&fs::read_to_string(format!("/proc/{id}/status")).ok()?, name).map(|kib| kib * 1_024)
}

/// The figure of a line such as `VmRSS:  1234 kB`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let status = "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t    1234 kB\nThreads:\t2\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:")), (Some(1_234), Some(99)));
        assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
        assert!(of_process(std::process::id()).is_some_and(|bytes| bytes > 100_000));
    }
}
