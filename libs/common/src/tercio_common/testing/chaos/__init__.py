"""Chaos: a fleet of real processes on a real etcd, faults at random times, and the verdict of the history checker.

    report = await run_chaos(Plan(seconds=60, seed=1), etcd=find_etcd(), folder=folder)
    assert report.holds

What is done when, and to whom, follows from the seed; what the processes make of it does not, so the same seed is the
same trouble but not the same run.
"""
