//! Memory that a process really has.

use std::fs;

/// Resident bytes of a process, file mappings included; `None` where the system does not tell.
pub(crate) fn of_process(id: u32) -> Option<u64> {
    resident_kib(&fs::read_to_string(format!("/proc/{id}/status")).ok()?).map(|kib| kib * 1_024)
}

/// The figure of the line `VmRSS:  1234 kB`.
fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        assert_eq!(
            resident_kib("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t    1234 kB\nThreads:\t2\n"),
            Some(1_234)
        );
        assert_eq!(resident_kib("Name:\tx\n"), None);
        assert!(of_process(std::process::id()).is_some_and(|bytes| bytes > 100_000));
    }
}
