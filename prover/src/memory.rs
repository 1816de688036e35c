//! How much memory this process may still take.

use std::path::Path;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// Names of one version of control groups.
struct Version {
    /// Below the folder of all groups, the first that exists.
    mounts: &'static [&'static str],
    limit: &'static str,
    usage: &'static str,
    /// Of the usage, what the system drops when memory is wanted: lines of `memory.stat`.
    cached: [&'static str; 2],
}

const VERSION_1: Version = Version {
    mounts: &["memory"],
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cached: ["total_inactive_file ", "total_active_file "],
};

const VERSION_2: Version = Version {
    mounts: &["unified", ""],
    limit: "memory.max",
    usage: "memory.current",
    cached: ["inactive_file ", "active_file "],
};

/// Bytes that this process may still take, where the system says so (Linux): the least of the machine's free memory and
/// swap, what its control groups leave, and what the limit of its address space leaves.
fn available_bytes() -> Option<u64> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| of_machine(&text));
    let groups = read("/proc/self/cgroup").and_then(|text| of_groups(Path::new(GROUPS), &text));
    [machine, groups, of_address_space()].into_iter().flatten().min()
}

/// The bytes that this process may still take, where work that is expected to take `needed` ones has no chance in them.
#[must_use]
pub fn too_few_for(needed: u64) -> Option<u64> {
    available_bytes().filter(|available| is_hopeless(needed, *available))
}

/// Whether work that is expected to take `needed` bytes has no chance in `available` ones. Estimates are off by up to a
/// tenth, so they may exceed what is there by a quarter.
fn is_hopeless(needed: u64, available: u64) -> bool {
    needed > available.saturating_add(available / 4)
}

/// The kilobytes after `name`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1 << 10)
}

fn of_machine(meminfo: &str) -> Option<u64> {
    let swap = kilobytes(meminfo, "SwapFree:").unwrap_or(0);
    Some(kilobytes(meminfo, "MemAvailable:")?.saturating_add(swap))
}

/// The least that a group of this process or one above it leaves. `groups` has lines `number:controllers:path`, without
/// controllers for version 2.
fn of_groups(root: &Path, groups: &str) -> Option<u64> {
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let version = match controllers {
            "" => &VERSION_2,
            _ if controllers.split(',').any(|name| name == "memory") => &VERSION_1,
            _ => return None,
        };
        let mount = version.mounts.iter().map(|mount| root.join(mount));
        let mount = mount.into_iter().find(|mount| mount.is_dir())?;
        let path = Path::new(path.trim_start_matches('/'));
        path.ancestors()
            .filter_map(|group| of_group(&mount.join(group), version))
            .min()
    });
    left.min()
}

fn of_group(group: &Path, version: &Version) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let limit: u64 = read(version.limit)?.trim().parse().ok()?;
    let usage: u64 = read(version.usage)?.trim().parse().ok()?;
    let stat = read("memory.stat").unwrap_or_default();
    let cached = version.cached.iter().filter_map(|name| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    });
    let held = cached.fold(usage, u64::saturating_sub);
    Some(limit.saturating_sub(held))
}

#[cfg(target_os = "linux")]
fn of_address_space() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::As).current?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(kilobytes(&status, "VmSize:")?))
}

#[cfg(not(target_os = "linux"))]
fn of_address_space() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn free_memory_and_swap_count() {
        let text = "MemTotal:  900 kB\nMemFree:  1 kB\nMemAvailable:   500 kB\nSwapFree:  20 kB\n";
        assert_eq!(of_machine(text), Some(520 << 10));
        assert_eq!(of_machine("MemTotal: 900 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_counts_without_what_it_caches() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let (limit, usage) = ("memory.max", "memory.current");
        write(&at("a/b"), &[(limit, "max\n"), (usage, "7\n")]);
        let stat = "anon 1\ninactive_file 30\nactive_file 10\n";
        write(
            &at("a"),
            &[(limit, "1000\n"), (usage, "300\n"), ("memory.stat", stat)],
        );
        assert_eq!(of_groups(root.path(), "0::/a/b\n"), Some(740));
        assert_eq!(of_groups(root.path(), "0::/c\n"), None);
        let (limit, usage) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
        write(&at("memory/d"), &[(limit, "9223372036854771712"), (usage, "1")]);
        write(&at("memory"), &[(limit, "500"), (usage, "600")]);
        let groups = "4:cpu:/a\n3:cpuset,memory:/d\n0::/a/b\n";
        assert_eq!(of_groups(root.path(), groups), Some(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_what_it_has() {
        let available = available_bytes().unwrap();
        assert!(available > 1 << 20 && available < 1 << 50, "{available}");
    }

    #[test]
    fn a_quarter_more_may_be_expected() {
        assert!(!is_hopeless(125, 100) && is_hopeless(126, 100));
        assert!(!is_hopeless(u64::MAX, u64::MAX));
    }
}
