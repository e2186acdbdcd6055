//! Attachers that spin on a name while its creators are killed never see anything half-made.

use super::{numbers, start};
use shmtypes_tests::life::{Folder, rounds};
use shmtypes_tests::peer::Peer;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

#[test]
fn attachers_see_complete_segments_only_while_creators_are_killed() {
    let folder = Folder::new();
    let kills = rounds(150);
    let mut attachers: Vec<Peer> = (0..2).map(|_| start(&["attach-on-and-on", folder.arg(), "name"])).collect();
    for attacher in &mut attachers {
        attacher.expect_line("attaching");
    }
    for kill in 0..kills {
        let mut creator = start(&["create-on-and-on", folder.arg(), "name"]);
        creator.expect_line("creating");
        // At a random instant: the waiting decides nothing but where the creator is.
        std::thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 4000));
        creator.kill();
        if kill % 4 == 0 {
            folder.segments().reap().unwrap();
        }
    }
    let (mut attempts, mut attached) = (0, 0);
    for attacher in &mut attachers {
        attacher.close_input();
        let [tried, succeeded, half_made] = numbers(attacher);
        assert_eq!(half_made, 0, "of {succeeded} attaches");
        assert!(attacher.wait().success());
        attempts += tried;
        attached += succeeded;
    }
    folder.assert_reaped("after the creators were killed");
    println!("{kills} creators killed, {attempts} attempts, {attached} attached, 0 half-made, 0 left");
    assert!(attempts > 20 * kills as u64, "only {attempts} attempts");
    assert!(attached > kills as u64, "only {attached} attaches");
}
