//! Injects one fault after another; each ends before the next begins.

use std::time::{Duration, Instant};

use crate::Harness;
use crate::bucket::Bucket;
use crate::fault_proxy::NetworkFault;
use crate::fleet::NODES;
use crate::random::Random;

/// Injects faults until `until`. Every process and the network work again when it returns.
pub async fn run(harness: &Harness, random: &mut Random, until: Instant) {
    let pause = |random: &mut Random, least: u64, most: u64| {
        tokio::time::sleep(Duration::from_millis(least + random.below(most - least)))
    };
    // Cycles through the kinds of faults, so that a short run has all of them.
    let mut day = random.below(6);
    while Instant::now() < until {
        pause(random, 1500, 4000).await;
        day += 1;
        match day % 6 {
            0 => {
                harness.report.count("fault: the S3 server killed");
                Bucket::kill().await;
                pause(random, 100, 2500).await;
                Bucket::restart().await;
            }
            1 | 4 => {
                let node = usize::try_from(random.below(NODES as u64)).unwrap();
                harness.report.count("fault: a process killed");
                harness.fleet.kill(node).await;
                pause(random, 10, 1500).await;
                harness.fleet.start_node(node).await;
            }
            _ => {
                let fault = random.choose(&[
                    NetworkFault::Delay,
                    NetworkFault::Reset,
                    NetworkFault::Reset,
                    NetworkFault::Stall,
                    NetworkFault::Refuse,
                ]);
                harness.report.count(format!("fault: {fault:?}"));
                harness.proxy.set(fault);
                pause(random, 500, 5000).await;
                harness.proxy.set(NetworkFault::None);
            }
        }
        for node in 0..NODES {
            harness.fleet.record_memory(node).await;
        }
    }
}
