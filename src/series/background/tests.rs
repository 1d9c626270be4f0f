use super::*;
use crate::config::Config;
use crate::host::fake::FakeHost;

fn join(host: &FakeHost) -> Option<Background> {
    let text = br#"{"metric_prefix": "x_", "definitions": [{"name": "ok", "value": "1"}]}"#;
    Background::join(host, &Names::of(&Config::compile(text).0.unwrap()))
}

#[test]
fn what_one_vm_requests_another_defines_and_answers() {
    let main = FakeHost::new().with_queues();
    let definer = join(&main).unwrap();
    let workers = [main.another_vm(), main.another_vm()];
    let backgrounds = workers.each_ref().map(|worker| join(worker).unwrap());
    let metrics =
        [(MetricKind::Counter, "x_requests_total", 3), (MetricKind::Histogram, "x_request_bytes", 40)];
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
    assert_eq!(
        (main.counter("x_requests_total"), main.histogram("x_request_bytes")),
        (Some(2 * 3 * 3), Some(vec![40; 2 * 3]))
    );
    let numbers = backgrounds.map(|background| background.vm.number.get());
    assert_eq!(numbers, [Some(0), Some(1)]);
}

#[test]
fn a_host_without_queues_has_no_background() {
    assert!(join(&FakeHost::new()).is_none());
}

#[test]
fn what_no_plugin_of_ours_asked_for_is_refused() {
    let host = FakeHost::new().with_queues();
    let background = join(&host).unwrap();
    let number = background.number(&host).unwrap();
    let request = |asker: u32, metrics: &[u8]| {
        let length = u32::try_from(metrics.len()).unwrap();
        [[asker, 1, length].map(u32::to_le_bytes).as_flattened(), metrics, &2u64.to_le_bytes()].concat()
    };
    let long = request(number, &b"cx_ok\0".repeat(1000));
    let foreign = [
        b"".to_vec(),
        b"12345678901".to_vec(),
        b"123456781234".to_vec(),
        request(number + 1, b"cx_ok\0"),
        request(u32::MAX, b"cx_ok\0"),
        request(number, b"cistio_requests_total\0"),
        request(number, b"hx_ok\0"),
        request(number, b"x\0cx_ok\0"),
        request(number, b"cx_ok\0h\xff\0half"),
        request(number, b"cx=.=y;x_ok\0"),
        long,
    ];
    let shared = host.shared_keys();
    for item in &foreign {
        host.enqueue(background.queue, item).unwrap();
    }
    background.serve(&host);
    let refused = (MetricKind::Counter, "istio_stats_series_refused_total".to_owned());
    assert_eq!(host.stat_names(), std::slice::from_ref(&refused));
    assert_eq!(host.counter(&refused.1), u64::try_from(foreign.len()).ok());
    assert_eq!(host.log_lines().len(), 1, "{:?}", host.log_lines());
    let mut more = host.shared_keys();
    more.retain(|key| !shared.contains(key));
    let told = "istio-stats: the queue istio_stats.series has requests of another plugin; refused".to_owned();
    assert_eq!(more, [told, DEFINING.to_owned(), answer_key(number)], "no key for an asker that is none");

    host.enqueue(background.queue, &request(number, b"cx=.=y;.;x_ok\0")).unwrap();
    background.serve(&host);
    assert_eq!(host.stat_names(), [refused, (MetricKind::Counter, "x=.=y;.;x_ok".to_owned())]);
    assert_eq!(host.counter("x=.=y;.;x_ok"), Some(2));
}

#[test]
fn each_vm_hears_how_far_its_own_requests_got() {
    let main = FakeHost::new().with_queues();
    let definer = join(&main).unwrap();
    let workers = [main.another_vm(), main.another_vm()];
    let backgrounds = workers.each_ref().map(|worker| join(worker).unwrap());
    for (worker, background, requests) in
        [(&workers[0], &backgrounds[0], 3), (&workers[1], &backgrounds[1], 1)]
    {
        for number in 1..=requests {
            assert_eq!(
                background.request(worker, [(MetricKind::Counter, "x_requests_total", 1)].into_iter()),
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
