//! What befalls them: one thing after another, each healed before the next.

use std::time::{Duration, Instant};

use crate::World;
use crate::bucket::Bucket;
use crate::fleet::NODES;
use crate::random::Random;
use crate::weather::Mood;

/// Until then; all is up and clear when it returns.
pub async fn rage(world: &World, random: &mut Random, until: Instant) {
    let pause = |random: &mut Random, least: u64, most: u64| {
        tokio::time::sleep(Duration::from_millis(least + random.below(most - least)))
    };
    // The bad days come in turn, so that a short storm has them all.
    let mut day = random.below(6);
    while Instant::now() < until {
        pause(random, 1500, 4000).await;
        day += 1;
        match day % 6 {
            0 => {
                world.report.count("storm: the S3 server killed");
                Bucket::kill().await;
                pause(random, 100, 2500).await;
                Bucket::restart().await;
            }
            1 | 4 => {
                let node = usize::try_from(random.below(NODES as u64)).unwrap();
                world.report.count("storm: a process killed");
                world.fleet.kill(node).await;
                pause(random, 10, 1500).await;
                world.fleet.revive(node).await;
            }
            _ => {
                let mood = random.of(&[Mood::Slow, Mood::Breaking, Mood::Breaking, Mood::Hanging, Mood::Refusing]);
                world.report.count(format!("storm: {mood:?}"));
                world.weather.set(mood);
                pause(random, 500, 5000).await;
                world.weather.set(Mood::Clear);
            }
        }
        for node in 0..NODES {
            world.fleet.weigh(node).await;
        }
    }
}
