//! Memory that the host grants this process: the limits of its control groups, and the physical memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The smallest limit that applies to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    pub bytes: u64,
    pub source: HostMemorySource,
}

/// The origin of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMemorySource {
    /// A control group of a container or unit (cgroups(7)).
    ControlGroup,
    /// The physical memory.
    Physical,
}

impl HostMemorySource {
    /// The words of an error message for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControlGroup => "the memory limit of the container or unit",
            Self::Physical => "the physical memory of this machine",
        }
    }
}

/// The limit of this process; `None` if the system does not report it.
#[must_use]
pub fn host_memory() -> Option<HostMemory> {
    read_below(Path::new("/"))
}

/// Reads the files below `root` instead of `/`.
fn read_below(root: &Path) -> Option<HostMemory> {
    let group = control_group_limit(root).map(|bytes| HostMemory { bytes, source: HostMemorySource::ControlGroup });
    let physical = physical_bytes(root).map(|bytes| HostMemory { bytes, source: HostMemorySource::Physical });
    // A group without a limit of version 1 has a limit above every physical memory.
    [physical, group].into_iter().flatten().min_by_key(|limit| limit.bytes)
}

fn control_group_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    // Each line is ID:CONTROLLERS:PATH. Version 2 has one line without controllers.
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        limit_of_path(&root.join(mount), path, file)
    });
    limits.min()
}

/// The smallest limit of the group `path` and the groups that contain it. In a container, the group of the container is
/// the root of the mount, and the path outside the container may not exist.
fn limit_of_path(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let path = PathBuf::from(path.trim_start_matches('/'));
    let limit = |group: &Path| fs::read_to_string(mount.join(group).join(file)).ok()?.trim().parse().ok();
    path.ancestors().filter_map(limit).min()
}

fn physical_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> Option<(u64, HostMemorySource)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read_below(root.path()).map(|limit| (limit.bytes, limit.source))
    }

    #[test]
    fn the_smallest_limit_of_the_groups_and_the_machine_applies() {
        use HostMemorySource::{ControlGroup, Physical};
        let meminfo = ("proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");
        let v2 = ("proc/self/cgroup", "0::/a/b\n");
        let v1 = ("proc/self/cgroup", "3:cpu:/x\n2:hugetlb,memory:/a\n0::/\n");
        let table: &[(&[(&str, &str)], _)] = &[
            (&[], None),
            (&[meminfo], Some((1 << 20, Physical))),
            (&[meminfo, v2, ("sys/fs/cgroup/a/b/memory.max", "max\n")], Some((1 << 20, Physical))),
            (&[meminfo, v2, ("sys/fs/cgroup/a/b/memory.max", "4096\n")], Some((4096, ControlGroup))),
            (
                &[v2, ("sys/fs/cgroup/a/b/memory.max", "8192\n"), ("sys/fs/cgroup/a/memory.max", "4096\n")],
                Some((4096, ControlGroup)),
            ),
            // Inside a container.
            (&[v2, ("sys/fs/cgroup/memory.max", "4096\n")], Some((4096, ControlGroup))),
            (&[v1, ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096\n")], Some((4096, ControlGroup))),
            (&[v1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n")], Some((4096, ControlGroup))),
            (
                &[meminfo, v1, ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n")],
                Some((1 << 20, Physical)),
            ),
        ];
        for (files, expected) in table {
            assert_eq!(host(files), *expected, "{files:?}");
        }
    }
}
