exec(SOLUTION.replace("    sys.exit(main())", "    main()"))
