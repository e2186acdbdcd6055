
fn main() {
    let bytes = core::mem::MaybeUninit::new(1_u8);
    let _ = shmtypes::layout::Candidate { bytes };
}
