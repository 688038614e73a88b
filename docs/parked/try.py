import sys, time, json, traceback
from pathlib import Path
sys.path.insert(0,"/work/main")
from grader import course, judge, submission, reference
from grader.notebook import read
from grader.submission import Patience
from grader.workbox import prepare
import datasets
root=Path("/work/main"); m=course.chosen(root,"01_optimization")[0]
seed=int(sys.argv[1]); t=time.time()
tables=["transactions","products","promotions","stores","query_log"]
data=prepare(seed,tables); print("data",round(time.time()-t),flush=True)
with submission.run(read(course.solution_file(root,m.name)),m,seed,data,True,Patience()) as ran:
    print("ran",round(time.time()-t),ran.ended.sentence,ran.ended.output[-1500:],flush=True)
    j=judge.judge(ran,m,seed,None,tables,data,True,Patience())
    print("judged",round(time.time()-t),j.problems)
    for v in j.verdicts: print(repr(v))
    for c in (ran.executed or {}).get("cells",[]):
        for o in c.get("outputs",[]):
            if o["output_type"]=="error": print("ERR",o["ename"],o["evalue"][:300])
    Path(f"/tmp/gr/ref{seed}.json").write_text(json.dumps(dict(j.evidence)))
