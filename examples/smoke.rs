use shmtypes::*;
fn main() -> Result<()> {
    let a = ShmArray::<f64>::create(1000)?;
    a.set(3, 9.5)?;
    let b = ShmArray::<f64>::open(a.name())?;
    println!("{a:?} {:?} sum {:?} max {:?}", b.get(3)?, b.sum()?, b.max()?);
    println!("{:#?}", inspect(a.name())?);
    println!("{:?}", list()?.segments.len());
    match ShmArray::<f32>::open(a.name()) {
        Err(e) => println!("{e}"),
        Ok(_) => panic!(),
    }
    println!("{:?} {:?}", a.clone().close()?, a.close()?);
    println!("{:?}", b.close()?);
    println!("{}", ShmArray::<f64>::open("nope").unwrap_err());
    println!("{}", ShmArray::<f64>::create(usize::MAX / 16).unwrap_err());
    println!("{}", ShmArray::<f64>::create(1 << 40).unwrap_err());
    let h = ShmArray::<f64>::options().huge_pages(true).create(4 << 20)?;
    println!("{:?}", inspect(h.name())?.huge_pages);
    let u = ShmArray::<u32>::options().unnamed().create(10)?;
    let fd = u.as_fd().unwrap().try_clone_to_owned().unwrap();
    let v = ShmArray::<u32>::from_fd(fd)?;
    u.set(2, 7)?;
    println!("{:?}", v.to_vec()?);
    let r = ShmArray::<f64>::open_read_only(h.name())?;
    println!("{:?} {:?}", r.get(5)?, r);
    Ok(())
}
