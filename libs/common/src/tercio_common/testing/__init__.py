"""What ships for tests: clocks by hand, behaviour suites, faulty ports."""
