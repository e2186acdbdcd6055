//! The key, and both ways of proving it: HMAC-MD5 up to CPython 3.11, named digests from 3.12 on.

use super::{KEY, Place, address, exception, manager_command};
use crate::with_each;
use serde_json::json;
use shmtypes::manager::{Address, SharedMemoryManager};
use shmtypes::{Error, ErrorKind, Fault};

const REFUSED: &str = "multiprocessing.context.AuthenticationError";

fn connects(manager: Result<SharedMemoryManager, Error>) -> Result<(), Error> {
    manager.and_then(|manager| manager.segments()).map(drop)
}

#[test]
fn another_key_is_refused_on_both_sides() {
    with_each(|interpreter| {
        let place = Place::new();
        let manager = place.options(place.socket()).start().unwrap();
        let mut python = place.python(interpreter);
        python.run(&manager_command(manager.address(), b"another"));
        let answer = python.ask(&json!({"op": "connect"}));
        assert_eq!(exception(&answer), (REFUSED, "digest sent was rejected"));
        python.run(&manager_command(manager.address(), KEY));
        python.run(&json!({"op": "connect"}));
        drop(manager);

        for here in [place.folder.file("pythons").into(), "127.0.0.1:0".parse::<Address>().unwrap()] {
            python.run(&manager_command(&here, KEY));
            let here = address(&python.run(&json!({"op": "start"})));
            let error = SharedMemoryManager::connect(&here, b"another").unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::AuthenticationFailed { .. }), "{error:?}");
            assert_eq!(error.fault(), Fault::Caller);
            assert_eq!(error.python_exception(), "multiprocessing.AuthenticationError");
            assert!(error.to_string().contains(&format!("the manager at {here} has another key")), "{error}");
            connects(SharedMemoryManager::connect(here, KEY)).unwrap();
            python.run(&json!({"op": "shutdown"}));
        }
        python.end();
        place.assert_clean();
    });
}

#[test]
fn any_bytes_are_a_key() {
    with_each(|interpreter| {
        let place = Place::new();
        let mut python = place.python(interpreter);
        let long = [0xfe; 300];
        for (turn, key) in [&b""[..], b"\0", &long].into_iter().enumerate() {
            let manager = place.options(place.socket()).authkey(key).start().unwrap();
            python.run(&manager_command(manager.address(), key));
            python.run(&json!({"op": "connect"}));
            drop(manager);
            let here = place.folder.file(&format!("pythons{turn}"));
            python.run(&manager_command(&here.into(), key));
            let answer = python.run(&json!({"op": "start"}));
            connects(SharedMemoryManager::connect(address(&answer), key)).unwrap();
            python.run(&json!({"op": "shutdown"}));
        }
        python.end();
        place.assert_clean();
    });
}

#[test]
fn who_forbids_hmac_md5_refuses_python_up_to_3_11() {
    with_each(|interpreter| {
        let is_legacy = !interpreter.is_at_least(3, 12);
        let place = Place::new();
        let manager = place.options(place.socket()).allow_legacy(false).start().unwrap();
        let mut python = place.python(interpreter);
        python.run(&manager_command(manager.address(), KEY));
        let answer = python.ask(&json!({"op": "connect"}));
        if is_legacy {
            assert_eq!(exception(&answer), (REFUSED, "digest sent was rejected"));
        } else {
            assert!(answer["err"].is_null(), "{answer}");
        }
        // A Rust client needs no MD5.
        manager.segments().unwrap();
        drop(manager);

        let here = place.folder.file("pythons");
        python.run(&manager_command(&here.clone().into(), KEY));
        python.run(&json!({"op": "start"}));
        let options = SharedMemoryManager::options().address(here.clone()).authkey(KEY);
        let outcome = connects(options.clone().allow_legacy(false).connect());
        if is_legacy {
            let error = outcome.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ManagerProtocol(_)), "{error:?}");
            assert_eq!(error.fault(), Fault::Peer);
            let text = error.to_string();
            assert!(text.contains("HMAC-MD5, which is not allowed here"), "{text}");
            assert!(text.contains("allow the digest of Python up to 3.11"), "{text}");
            assert!(!text.contains("is no manager"), "{text}");
        } else {
            outcome.unwrap();
        }
        connects(options.connect()).unwrap();
        python.run(&json!({"op": "shutdown"}));
        python.end();
        place.assert_clean();
    });
}
