use super::*;
use crate::host::fake::FakeHost;

#[test]
fn what_one_vm_requests_another_defines_and_answers() {
    let main = FakeHost::new().with_queues();
    let definer = Background::join(&main).unwrap();
    let workers = [main.another_vm(), main.another_vm()];
    let backgrounds = workers.each_ref().map(|worker| Background::join(worker).unwrap());
    let metrics = [(MetricKind::Counter, "a_total", 3), (MetricKind::Histogram, "b", 40)];
    for round in 1..=3 {
        for (worker, background) in workers.iter().zip(&backgrounds) {
            assert_eq!(background.request(worker, metrics.into_iter()), Ok(RequestNumber(round)));
            assert_eq!(background.served(worker), RequestNumber(round - 1));
        }
        definer.serve(&main);
        assert_eq!(workers.each_ref().map(|worker| backgrounds[0].served(worker)), [RequestNumber(round); 2]);
    }
    let defined: Vec<_> = metrics.map(|(kind, name, _)| (kind, name.to_owned())).into();
    assert_eq!(main.stat_names(), defined);
    assert_eq!((main.counter("a_total"), main.histogram("b")), (Some(2 * 3 * 3), Some(vec![40; 2 * 3])));
    let numbers = backgrounds.map(|background| background.vm.number.get());
    assert_eq!(numbers, [Some(0), Some(1)]);
}

#[test]
fn a_host_without_queues_has_no_background() {
    assert!(Background::join(&FakeHost::new()).is_none());
}

#[test]
fn foreign_items_are_passed_over() {
    let host = FakeHost::new().with_queues();
    let background = Background::join(&host).unwrap();
    for item in [
        &b""[..],
        b"12345678901",
        b"123456781234",
        b"12345678\x0c\0\0\0x\0c\0\0cok\0h\xff\0half",
        b"12345678\x03\0\0\0cok\x02\0\0\0\0\0\0\0more",
        b"12345678\0\0\0\0samples of nothing",
    ] {
        host.enqueue(background.queue, item).unwrap();
    }
    background.serve(&host);
    let names: Vec<_> = host.stat_names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["", "ok"]);
    assert_eq!(host.counter("ok"), Some(2));
}

#[test]
fn each_vm_hears_how_far_its_own_requests_got() {
    let main = FakeHost::new().with_queues();
    let definer = Background::join(&main).unwrap();
    let workers = [main.another_vm(), main.another_vm()];
    let backgrounds = workers.each_ref().map(|worker| Background::join(worker).unwrap());
    for (worker, background, requests) in
        [(&workers[0], &backgrounds[0], 3), (&workers[1], &backgrounds[1], 1)]
    {
        for number in 1..=requests {
            assert_eq!(
                background.request(worker, [(MetricKind::Counter, "a", 1)].into_iter()),
                Ok(RequestNumber(number))
            );
        }
    }
    definer.serve(&main);
    assert_eq!(
        [backgrounds[0].served(&workers[0]), backgrounds[1].served(&workers[1])],
        [3, 1].map(RequestNumber)
    );
}
