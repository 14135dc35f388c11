//! The workload over the allocator that mimalloc-pprof brings, with no profiler built in: what its profiler is measured by. Started by
//! `compare-heap`.
#![deny(unsafe_code)]

fn main() -> std::io::Result<()> {
    workload::serve(&mimalloc_pprof::MiMalloc, &mut || {})
}
