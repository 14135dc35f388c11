//! Draws the sizes of a service's blocks.

use crate::random::Random;

/// The smallest size drawn, in bytes.
pub const SIZE_MIN: usize = 8;
/// The largest size drawn, in bytes. With a head of less than 16 KiB around it, a block stays within 64 KiB.
pub const SIZE_MAX: usize = 48 * 1024;

/// Returns a size in bytes, `SIZE_MIN..=SIZE_MAX`. 7 of 8 are below 1 KiB, where every power of two is equally likely; most of the
/// others are below 4 KiB; 1 of 128 reaches up to `SIZE_MAX`. The mean is about 0.7 KiB.
///
/// Most blocks are small, and most bytes are in large ones. Heap studies find this in servers (for example Berger and others,
/// "Reconsidering Custom Memory Allocation", OOPSLA 2002), and it is a good test for a sampler by words.
pub fn draw(random: &mut Random) -> usize {
    match random.below(128) {
        0 => random.within(4096..=SIZE_MAX),
        1..16 => random.within(1024..=4095),
        _ => {
            let power = random.within(3..=9);
            random.within((1 << power)..=(2 << power) - 1)
        }
    }
}

const _: () = assert!(SIZE_MIN == 1 << 3 && SIZE_MAX > 4096);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_sizes_are_small_and_some_are_large() {
        const N: u32 = 100_000;
        let mut random = Random::new(1);
        let (mut small, mut large, mut sum) = (0, 0, 0);
        for _ in 0..N {
            let size = draw(&mut random);
            assert!((SIZE_MIN..=SIZE_MAX).contains(&size));
            small += u32::from(size < 1024);
            large += u32::from(size >= 4096);
            sum += size as u64;
        }
        // Binomial: 87,500 with a standard deviation of 105, and 781 with 28. The bounds are five of them each.
        assert!((86_975..=88_025).contains(&small), "{small}");
        assert!((641..=921).contains(&large), "{large}");
        // By the classes: 112/128 × 217.2 + 15/128 × 2559.5 + 1/128 × 26624 = 698; the standard error is 9.
        let mean = sum / u64::from(N);
        assert!((653..=743).contains(&mean), "{mean}");
    }
}
