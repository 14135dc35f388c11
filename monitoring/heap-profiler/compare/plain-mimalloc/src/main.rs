//! The workload over the allocator of mimalloc-pprof without a profiler: the reference for its profiler. `compare-heap`
//! starts it.
#![deny(unsafe_code)]

fn main() -> std::io::Result<()> {
    workload::serve(&mimalloc_pprof::MiMalloc, &mut || {})
}
