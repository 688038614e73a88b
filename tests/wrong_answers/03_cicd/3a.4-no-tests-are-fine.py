exec(SOLUTION.replace("    sys.exit(main())", "    code = main()\n    sys.exit(0 if code == 5 else code)"))
